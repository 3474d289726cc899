"""The keys of a real volume, for the second decoder. Knows the description's fields and the KMS client."""

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from agent.api.operations import DECRYPT
from agent.api.shapes.cryptographic import DecryptRequest
from agent.client import AgentClient
from decoder import Keys
from decoder.keys import customers_volume_key, wrapping_key


def volume_keys(backing: Path, agent_url: str, customer_keys: tuple[bytes, ...] = ()) -> Keys:
    """Ask the agent for the keys of a volume and its files, as format.md sections 4, 5 and 8.1 say."""
    tree = yaml.safe_load((backing / ".kmsfs-volume" / "volume.yaml").read_text())
    policies = tree["policies"]
    volume = {"kmsfs:volume": str(tree["volume_id"])}
    with AgentClient(agent_url) as client:

        def decrypt(blob: bytes, policy: int, /, **context: str) -> bytes:
            request = DecryptRequest(
                ciphertext_blob=blob,
                key_id=policies[policy]["key_arn"],
                encryption_context=volume | {f"kmsfs:{name}": value for name, value in context.items()},
            )
            plaintext = client.call(DECRYPT, request).plaintext
            assert plaintext is not None
            return plaintext

        blob = base64.b64decode(tree["volume_key_blob"])
        if policies[0]["mode"] == "customer":
            volume_key = _customers_volume_key(tree, blob, customer_keys)
        else:
            volume_key = decrypt(blob, 0)
        return Keys(
            volume_key,
            {
                bytes.fromhex(entry["id"]): decrypt(
                    base64.b64decode(entry["blob"]), entry["policy"], policy=str(entry["policy"])
                )
                for entry in tree["bucket_keys"]
            },
            {
                blob: decrypt(blob, policy, policy=str(policy), file=file_id.hex())
                for blob, policy, file_id in _direct_files(backing)
            },
            customer_keys,
        )


def _customers_volume_key(tree: Any, wrapped: bytes, customer_keys: tuple[bytes, ...]) -> bytes:  # noqa: ANN401 - YAML
    volume_id = bytes.fromhex(str(tree["volume_id"]))
    check = tree["policies"][0]["customer"]
    salt, mac = bytes.fromhex(str(check["salt"])), bytes.fromhex(str(check["mac"]))
    return customers_volume_key(wrapping_key(customer_keys, volume_id, salt, mac), wrapped, volume_id)


def _direct_files(backing: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield ciphertext, policy and file id of each file whose data key is the KMS's own."""
    for directory, _, names in os.walk(backing):
        for name in names:
            path = Path(directory, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with path.open("rb") as file:
                raw = file.read(512)
            if raw[:6] == b"\x89KMSFS" and raw[9] == 2:
                size = int.from_bytes(raw[12:14])
                yield raw[96 : 96 + size], int.from_bytes(raw[62:64]), raw[32:48]
