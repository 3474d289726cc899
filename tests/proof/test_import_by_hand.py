"""The page about importing one's own key, followed to the letter, with openssl and the aws command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ports
from agent.api.operations import (
    DECRYPT,
    DESCRIBE_KEY,
    ENCRYPT,
    GENERATE_MAC,
    GET_PUBLIC_KEY,
    LIST_KEY_ROTATIONS,
    LIST_KEYS,
)
from agent.api.shapes.cryptographic import DecryptRequest, EncryptRequest
from agent.api.shapes.keys import DescribeKeyRequest, ListKeysRequest
from agent.api.shapes.macs import GenerateMacRequest
from agent.api.shapes.rotation import ListKeyRotationsRequest
from agent.api.shapes.signing import GetPublicKeyRequest
from agents import RunningAgent
from pages import DOCS, fenced_blocks

PAGE = DOCS / "how-to" / "import-your-own-key.md"
SECONDS = 300


@pytest.fixture
def agent() -> Iterator[RunningAgent]:
    """An agent with a TCP port, and an access key of root's in the environment of its user."""
    with ports.running({}) as running:
        (url,) = ports.doors(running)[1:]
        credentials = ports.make_key(running, "root")
        running.environ |= {
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_DEFAULT_REGION": "local",
            **{name.upper(): value for name, value in credentials.items()},
        }
        yield running


def run(script: str, agent: RunningAgent, directory: Path) -> str:
    """Run a script as the agent's user; return what it prints."""
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=agent.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_the_page(agent: RunningAgent, tmp_path: Path) -> None:
    """Every command succeeds, every key is enabled, and each has the material that was brought."""
    blocks = [text for language, text in fenced_blocks(PAGE) if language == "sh"]
    run("\n".join(blocks[:-1]), agent, tmp_path)
    with agent.client() as client:
        listed = client.call(LIST_KEYS, ListKeysRequest()).keys
        states = [
            client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=entry.key_id)).key_metadata
            for entry in listed
        ]
        assert [(key.key_state, key.origin) for key in states] == [("Enabled", "EXTERNAL")] * 6
        mac = client.call(
            GENERATE_MAC, GenerateMacRequest(key_id="alias/hmac", message=b"m", mac_algorithm="HMAC_SHA_256")
        ).mac
        signer = client.call(GET_PUBLIC_KEY, GetPublicKeyRequest(key_id="alias/signer")).public_key
        rotations = client.call(
            LIST_KEY_ROTATIONS,
            ListKeyRotationsRequest(
                key_id=client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id="alias/vault")).key_metadata.key_id
            ),
        ).rotations
        sealed = client.call(
            ENCRYPT, EncryptRequest(key_id="alias/vault", plaintext=b"letters")
        ).ciphertext_blob
    assert len(rotations) == 1
    outside = "printf m | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(xxd -p -c 64 hmac.bin) -r"
    assert run(outside, agent, tmp_path).split()[0] == mac.hex()
    run("openssl pkey -in signer.pem -pubout -outform DER -out signer.der", agent, tmp_path)
    assert (tmp_path / "signer.der").read_bytes() == signer
    assert "to give it back: kms-agent key import alias/vault FILE" in run(blocks[-1], agent, tmp_path)
    with agent.client() as client:
        assert client.call(DECRYPT, DecryptRequest(ciphertext_blob=sealed)).plaintext == b"letters"


def test_rsa_from_outside(agent: RunningAgent, tmp_path: Path) -> None:
    """What openssl encrypts to the public half of an imported RSA key is decrypted by the agent."""
    run(
        """
        openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
        kms-agent key create --origin external --alias rsa --spec rsa_2048 --usage encrypt_decrypt
        openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER | kms-agent key import alias/rsa -
        printf secret | openssl pkeyutl -encrypt -inkey rsa.pem -out sealed -pkeyopt rsa_padding_mode:oaep
        """,
        agent,
        tmp_path,
    )
    request = DecryptRequest(
        key_id="alias/rsa",
        ciphertext_blob=(tmp_path / "sealed").read_bytes(),
        encryption_algorithm="RSAES_OAEP_SHA_1",
    )
    with agent.client() as client:
        assert client.call(DECRYPT, request).plaintext == b"secret"
