"""Owns the volume description: what a volume is, which keys it hangs on, and that nobody changed it. Pure.

The description is a YAML text that people can read, and a last line with an HMAC over every byte above it.
Reading it takes two steps, because the key of that HMAC comes out of the text itself, by way of the agent:
`load` gives something to ask the agent with, `verify` the description that may be believed. Knows nothing of
the agent, of files, or of where the text lies.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from kmsfs import fields, moment
from kmsfs.errors import CorruptVolumeError, VolumeError
from kmsfs.geometry import MAX_CHUNK_SHIFT, MIN_CHUNK_SHIFT
from kmsfs.strictyaml import Node, StrictYamlError, parse
from kmsfs.volumekeys import VolumeKeys

__all__ = [
    "BucketKeyEntry",
    "CustomerCheck",
    "Parameters",
    "Policy",
    "UnverifiedVolume",
    "VolumeDescription",
    "VolumeKeys",
    "dump",
    "load",
    "verify",
]

FORMAT: Final = 1
DESCRIPTION_SIZE_MAX: Final = 1 << 18
POLICY_INDEX_MAX: Final = 0xFFFF
BUCKET: Final = "bucket"
DIRECT: Final = "direct"
CUSTOMER: Final = "customer"
MODES: Final = (BUCKET, DIRECT, CUSTOMER)

_COMMENT: Final = (
    "# Description of a kmsfs volume. It names the volume's keys and holds them only as ciphertext.\n"
    "# Keep a copy: without it the volume cannot be read. The last line authenticates all above it.\n"
)
_MAC_LINE: Final = re.compile(rb"mac: ([0-9a-f]{64})\n")
_MAC_LINE_SIZE: Final = 70
_BLOB_SIZE_MAX: Final = 6144
_OPTIONAL: Final = frozenset({"agent_url", "volume_key_material_id"})
_KNOWN_FEATURES: Final[frozenset[str]] = frozenset()
_IDENTIFIER: Final = fields.text("[0-9a-f]{32}")
_DIGEST: Final = fields.text("[0-9a-f]{64}")
_MOMENT: Final = fields.text(moment.PATTERN)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is fixed when the volume is made.

    Attributes:
        names: "siv" for sealed names, "plain" for names kept as they are.
        bindings: whether files and directories are tied to their places.
    """

    names: str = "siv"
    bindings: bool = True


@dataclass(frozen=True, slots=True)
class CustomerCheck:
    """What tells a customer's key from another without keeping it, as S3 does with SSE-C.

    Attributes:
        salt: 16 random bytes.
        mac: HMAC-SHA-256 under the key of "kmsfs customer 1", the volume id and the salt, 32 bytes.
    """

    salt: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    """How new files are encrypted. Directories name it by its index; it never changes what it means for them.

    Attributes:
        index: 0 to 65534.
        key_arn: the KMS key behind it; "" where the key is the customer's.
        mode: "bucket" for data keys wrapped under bucket keys, "direct" for a call to the KMS per file,
            "customer" for a key that whoever mounts brings along.
        chunk_shift: its files have chunks of 2**chunk_shift bytes.
        customer: mode "customer" only, and always there: how that key is known again.
    """

    index: int
    key_arn: str
    mode: str = BUCKET
    chunk_shift: int = 12
    customer: CustomerCheck | None = None


@dataclass(frozen=True, slots=True)
class BucketKeyEntry:
    """A bucket key as the description keeps it.

    Attributes:
        id: 16 bytes that name it in headers.
        policy: index of the policy it was made for.
        blob: CiphertextBlob of GenerateDataKey.
        key_material_id: the KMS key material it was made under; None where the service does not tell.
        created: UTC, such as "2026-01-31T23:59:59Z".
    """

    id: bytes
    policy: int
    blob: bytes
    key_material_id: str | None
    created: str


@dataclass(frozen=True, slots=True)
class VolumeDescription:
    """A volume.

    Attributes:
        volume_id: 16 random bytes.
        volume_key_blob: CiphertextBlob of the volume key, under the KMS key of policy 0.
        volume_key_material_id: the KMS key material that it is under; None where the service does not tell,
            or the key is the customer's.
        policies: the first is the volume's own; their indexes count from 0.
        bucket_keys: oldest first.
        parameters: what is fixed when the volume is made.
        features: names of what a reader must know of; none exist in this version.
        agent_url: the agent that the volume was made with. A hint for messages to people: connecting to it
            unasked would let whoever can write here choose the agent that gets to see requests.
        in_use_since: when the mount for writing began that has not ended by unmounting, because it still runs
            or because it never will; UTC, such as "2026-01-31T23:59:59Z". None after a clean unmount.
        format: version of the whole on-disk format.
    """

    volume_id: bytes
    volume_key_blob: bytes
    policies: tuple[Policy, ...]
    bucket_keys: tuple[BucketKeyEntry, ...] = ()
    parameters: Parameters = Parameters()
    features: tuple[str, ...] = ()
    agent_url: str | None = None
    in_use_since: str | None = None
    volume_key_material_id: str | None = None
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class UnverifiedVolume:
    """A well-formed description of which nothing may be believed yet.

    Attributes:
        description: good for asking the agent for the volume key, and for nothing else.
        body: the bytes under the MAC.
        mac: the MAC they carry.
    """

    description: VolumeDescription
    body: bytes
    mac: bytes


def dump(description: VolumeDescription, mac_key: bytes) -> bytes:
    """Return the text of `description`, with its MAC under `mac_key` (32 bytes).

    Raises:
        VolumeError: it has outgrown the size that `load` accepts.
    """
    optional_agent = {} if description.agent_url is None else {"agent_url": description.agent_url}
    material_id = description.volume_key_material_id
    tree = {
        "format": description.format,
        "volume_id": description.volume_id.hex(),
        "in_use_since": description.in_use_since,
        "features": list(description.features),
        "parameters": {
            "names": description.parameters.names,
            "bindings": description.parameters.bindings,
        },
        **optional_agent,
        "policies": [_policy_tree(policy) for policy in description.policies],
        **({} if material_id is None else {"volume_key_material_id": material_id}),
        "volume_key_blob": fields.base64_text(description.volume_key_blob),
        "bucket_keys": [
            {
                "id": entry.id.hex(),
                "policy": entry.policy,
                "created": entry.created,
                **({} if entry.key_material_id is None else {"key_material_id": entry.key_material_id}),
                "blob": fields.base64_text(entry.blob),
            }
            for entry in description.bucket_keys
        ],
    }
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=False, width=DESCRIPTION_SIZE_MAX)
    body = (_COMMENT + text).encode()
    raw = body + b"mac: " + _mac(body, mac_key).hex().encode() + b"\n"
    if len(raw) > DESCRIPTION_SIZE_MAX:
        raise VolumeError(
            "the volume description has outgrown its 256 KiB: it names too many policies or bucket keys"
        )
    if load(raw).description != description:
        raise AssertionError("a volume description reads back as it was written")
    return raw


def load(raw: bytes) -> UnverifiedVolume:
    """Read a description without believing it.

    Raises:
        VolumeError: of a format or with a feature that this version does not know.
        CorruptVolumeError: too large, or not a well-formed description.
    """
    if len(raw) > DESCRIPTION_SIZE_MAX:
        raise CorruptVolumeError(f"the volume description is larger than {DESCRIPTION_SIZE_MAX} bytes")
    body, mac_line = raw[:-_MAC_LINE_SIZE], _MAC_LINE.fullmatch(raw[-_MAC_LINE_SIZE:])
    if mac_line is None or not body.endswith(b"\n"):
        raise CorruptVolumeError("the volume description does not end in its MAC: it is damaged or cut short")
    try:
        description = _description(parse(body.decode()))
    except (UnicodeDecodeError, StrictYamlError) as error:
        raise CorruptVolumeError(f"the volume description is damaged: {error}") from None
    return UnverifiedVolume(description, body, bytes.fromhex(mac_line[1].decode()))


def verify(unverified: UnverifiedVolume, mac_key: bytes) -> VolumeDescription:
    """Return the description if its MAC is right under `mac_key` (32 bytes).

    Raises:
        CorruptVolumeError: changed by someone without the volume key.
    """
    if not hmac.compare_digest(_mac(unverified.body, mac_key), unverified.mac):
        raise CorruptVolumeError(
            "the volume description was changed by someone without the volume key; "
            "restore volume.yaml from a copy that you trust",
        )
    return unverified.description


def _policy_tree(policy: Policy) -> dict[str, object]:
    """Return the fields of a policy, those left out that its mode does not have."""
    check = policy.customer
    return {
        "index": policy.index,
        "mode": policy.mode,
        **({"key_arn": policy.key_arn} if policy.key_arn else {}),
        "chunk_shift": policy.chunk_shift,
        **({} if check is None else {"customer": {"salt": check.salt.hex(), "mac": check.mac.hex()}}),
    }


def _mac(body: bytes, mac_key: bytes) -> bytes:
    return hmac.digest(mac_key, body, "sha256")


def _description(node: Node) -> VolumeDescription:
    # Format and features first: a newer version may have other fields, and deserves a better message.
    tree = fields.mapping(node)
    version = fields.integer(tree.get("format", ""))
    if version != FORMAT:
        raise VolumeError(
            f"the volume has format {version}, this kmsfs reads format {FORMAT}; use a newer kmsfs",
        )
    unknown = set(_DESCRIPTION["features"](tree.get("features", ""))) - _KNOWN_FEATURES
    if unknown:
        raise VolumeError(
            f"the volume needs features that this kmsfs does not know: {', '.join(sorted(unknown))}; "
            "use a newer kmsfs",
        )
    description = VolumeDescription(**fields.record(tree, _DESCRIPTION, optional=_OPTIONAL))
    indexes = [policy.index for policy in description.policies]
    if not indexes or indexes != list(range(len(indexes))) or len(indexes) > POLICY_INDEX_MAX:
        raise StrictYamlError("policies are not numbered from 0 on")
    ids = {entry.id for entry in description.bucket_keys}
    if len(ids) != len(description.bucket_keys):
        raise StrictYamlError("two bucket keys have one id")
    with_bucket_keys = {policy.index for policy in description.policies if policy.mode == BUCKET}
    if any(entry.policy not in with_bucket_keys for entry in description.bucket_keys):
        raise StrictYamlError("a bucket key names a policy that does not exist or has none")
    return description


def _chunk_shift(node: Node) -> int:
    value = fields.integer(node)
    if not MIN_CHUNK_SHIFT <= value <= MAX_CHUNK_SHIFT:
        raise StrictYamlError(f"chunk_shift is not between {MIN_CHUNK_SHIFT} and {MAX_CHUNK_SHIFT}")
    return value


def _in_use_since(node: Node) -> str | None:
    if node == "null":
        return None
    text = _MOMENT(node)
    try:
        moment.read(text)
    except ValueError:
        raise StrictYamlError("in_use_since is no moment") from None
    return text


def _identifier(node: Node) -> bytes:
    return bytes.fromhex(_IDENTIFIER(node))


def _blob(node: Node) -> bytes:
    blob = fields.base64_bytes(node)
    if len(blob) > _BLOB_SIZE_MAX:
        raise StrictYamlError(f"a blob has more than {_BLOB_SIZE_MAX} bytes")
    return blob


def _parameters(node: Node) -> Parameters:
    return Parameters(**fields.record(node, _PARAMETERS))


def _policy(node: Node) -> Policy:
    values = fields.record(node, _POLICY, optional=frozenset({"key_arn", "customer"}))
    policy = Policy(**{"key_arn": "", **values})
    is_customer = policy.mode == CUSTOMER
    if is_customer != (policy.customer is not None) or is_customer == bool(policy.key_arn):
        raise StrictYamlError("a policy has a customer's check in mode customer, a key_arn in any other")
    return policy


def _customer(node: Node) -> CustomerCheck:
    return CustomerCheck(**fields.record(node, _CUSTOMER))


def _digest(node: Node) -> bytes:
    return bytes.fromhex(_DIGEST(node))


def _bucket_key(node: Node) -> BucketKeyEntry:
    values = fields.record(node, _BUCKET_KEY, optional=frozenset({"key_material_id"}))
    return BucketKeyEntry(**{"key_material_id": None, **values})


_PARAMETERS: Final[Mapping[str, Callable[[Node], Any]]] = {
    "names": fields.text("siv|plain"),
    "bindings": fields.boolean,
}
_CUSTOMER: Final[Mapping[str, Callable[[Node], Any]]] = {"salt": _identifier, "mac": _digest}
_POLICY: Final[Mapping[str, Callable[[Node], Any]]] = {
    "index": fields.integer,
    "mode": fields.text("|".join(MODES)),
    "key_arn": fields.text(r"[\x21-\x7e]{1,2048}"),
    "chunk_shift": _chunk_shift,
    "customer": _customer,
}
_BUCKET_KEY: Final[Mapping[str, Callable[[Node], Any]]] = {
    "id": _identifier,
    "policy": fields.integer,
    "created": _MOMENT,
    "key_material_id": _DIGEST,
    "blob": _blob,
}
_DESCRIPTION: Final[Mapping[str, Callable[[Node], Any]]] = {
    "format": fields.integer,
    "volume_id": _identifier,
    "in_use_since": _in_use_since,
    "features": fields.sequence(fields.text("[a-z0-9_-]{1,64}")),
    "parameters": _parameters,
    "agent_url": fields.text(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,2048}"),
    "policies": fields.sequence(_policy),
    "volume_key_material_id": _DIGEST,
    "volume_key_blob": _blob,
    "bucket_keys": fields.sequence(_bucket_key),
}
