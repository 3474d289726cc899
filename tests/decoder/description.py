"""The volume description: format.md, section 5."""

import hmac
import re
from dataclasses import dataclass
from typing import Any

import yaml

from decoder.primitives import expand, hmac_sha256
from decoder.refusal import Refused


@dataclass(frozen=True)
class Policy:
    """A policy; salt and mac are empty but in mode customer."""

    mode: str
    chunk_shift: int
    salt: bytes
    mac: bytes


@dataclass(frozen=True)
class Description:
    """What the other parts of the decoder need of a description."""

    volume_id: bytes
    policies: tuple[Policy, ...]
    plain_names: bool
    has_bindings: bool
    in_use_since: str | None
    bucket_key_ids: frozenset[bytes]

    @property
    def chunk_shifts(self) -> frozenset[int]:
        """Those of all policies."""
        return frozenset(policy.chunk_shift for policy in self.policies)


def read_description(raw: bytes, volume_key: bytes) -> Description:
    """Read a description; its MAC is checked before a word of it is believed."""
    match = re.fullmatch(rb"(.*\n)mac: ([0-9a-f]{64})\n", raw, re.DOTALL)
    if match is None or len(raw) > 262144:
        raise Refused("the description does not end in a MAC, or is too long")
    body, mac = match[1], bytes.fromhex(match[2].decode())
    tree = yaml.load(body, yaml.BaseLoader)  # noqa: S506 - texts, lists and mappings only
    volume_id = bytes.fromhex(tree["volume_id"])
    key = expand(volume_key, b"kmsfs mac 1" + volume_id, 32)
    if not hmac.compare_digest(hmac_sha256(key, body), mac):
        raise Refused("the MAC of the description is wrong")
    if tree["format"] != "1" or tree["features"]:
        raise Refused("not format 1, or with something that this decoder does not know")
    return Description(
        volume_id=volume_id,
        policies=tuple(_policy(policy) for policy in tree["policies"]),
        plain_names={"siv": False, "plain": True}[tree["parameters"]["names"]],
        has_bindings={"true": True, "false": False}[tree["parameters"]["bindings"]],
        in_use_since=_moment_or_none(tree["in_use_since"]),
        bucket_key_ids=frozenset(bytes.fromhex(entry["id"]) for entry in tree["bucket_keys"]),
    )


def _policy(policy: dict[str, Any]) -> Policy:
    fields = {"index", "mode", "chunk_shift", "customer" if policy["mode"] == "customer" else "key_arn"}
    if policy["mode"] not in {"bucket", "direct", "customer"} or policy.keys() != fields:
        raise Refused("a policy has other fields than its mode says")
    if not 12 <= int(policy["chunk_shift"]) <= 20:
        raise Refused("a chunk_shift is out of range")
    customer = policy.get("customer", {"salt": "", "mac": ""})
    salt, mac = (bytes.fromhex(customer[name]) for name in ("salt", "mac"))
    return Policy(policy["mode"], int(policy["chunk_shift"]), salt, mac)


def _moment_or_none(text: str) -> str | None:
    if text == "null":
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text, re.ASCII) is None:
        raise Refused("in_use_since is no moment")
    return text
