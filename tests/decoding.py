"""The keys of a real volume, for the second decoder. Knows the description's fields and the KMS client."""

import base64
from pathlib import Path

import yaml

from agent.api.operations import DECRYPT
from agent.api.shapes.cryptographic import DecryptRequest
from agent.client import AgentClient
from decoder import Keys


def volume_keys(backing: Path, agent_url: str) -> Keys:
    """Ask the agent for the volume key and the bucket keys, as format.md sections 4 and 5 say."""
    tree = yaml.safe_load((backing / ".kmsfs-volume" / "volume.yaml").read_text())
    arns = {policy["index"]: policy["key_arn"] for policy in tree["policies"]}
    volume = {"kmsfs:volume": str(tree["volume_id"])}
    with AgentClient(agent_url) as client:

        def decrypt(blob: str, key_arn: str, context: dict[str, str]) -> bytes:
            request = DecryptRequest(
                ciphertext_blob=base64.b64decode(blob), key_id=key_arn, encryption_context=context
            )
            plaintext = client.call(DECRYPT, request).plaintext
            assert plaintext is not None
            return plaintext

        return Keys(
            decrypt(tree["volume_key_blob"], arns[0], volume),
            {
                bytes.fromhex(entry["id"]): decrypt(
                    entry["blob"], arns[entry["policy"]], volume | {"kmsfs:policy": str(entry["policy"])}
                )
                for entry in tree["bucket_keys"]
            },
        )
