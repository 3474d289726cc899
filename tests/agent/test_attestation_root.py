"""The setting attestation_root, on a real agent: what is no root stops it, a good one is believed."""

import time
from pathlib import Path

import pytest

from agent.api.enums import KeyEncryptionMechanism
from agent.api.errors import ValidationException
from agent.api.operations import GENERATE_RANDOM
from agent.api.shapes.cryptographic import GenerateRandomRequest, RecipientInfo
from agents import RunningAgent
from enclaves import Authority, certify, opened


def configuration(directory: Path, pem: bytes | None) -> Path:
    """Write a configuration that names a root, and the root unless there is to be none."""
    root, file = directory / "root.pem", directory / "agent.yaml"
    if pem is not None:
        root.write_bytes(pem)
    file.write_text(f"attestation_root: {root}\n")
    return file


@pytest.mark.parametrize("kind", ["absent", "empty", "a leaf", "two", "too long"])
def test_a_root_that_is_none_stops_the_agent(tmp_path: Path, kind: str) -> None:
    """The agent ends with the exit code of a wrong configuration, and names setting, file and reason."""
    authority = Authority()
    roots = {
        "absent": None,
        "empty": b"",
        "a leaf": certify("leaf", authority=False).pem,
        "two": authority.pem + authority.pem,
        "too long": authority.pem + bytes(65_536),
    }
    agent = RunningAgent(tmp_path)
    result = agent.command("serve", "--init", "--config", str(configuration(tmp_path, roots[kind])))
    assert result.returncode == 9
    assert f"attestation_root: {tmp_path / 'root.pem'}" in result.stderr


def test_a_root_is_believed(tmp_path: Path) -> None:
    """The root's enclaves are answered, and those of another root are not."""
    agent, authority, other = RunningAgent(tmp_path), Authority(now=time.time()), Authority(now=time.time())
    try:
        agent.start("--config", str(configuration(tmp_path, authority.pem)))
        with agent.client() as client:
            answer = client.call(GENERATE_RANDOM, random_for(authority))
            with pytest.raises(ValidationException, match="does not lead to the attestation root"):
                client.call(GENERATE_RANDOM, random_for(other))
        agent.stop()
    finally:
        agent.discard()
    assert answer.plaintext is None
    assert answer.ciphertext_for_recipient is not None
    assert len(opened(tmp_path, answer.ciphertext_for_recipient)) == 8


def random_for(authority: Authority) -> GenerateRandomRequest:
    """Return what an enclave of an authority asks for."""
    recipient = RecipientInfo(
        key_encryption_algorithm=KeyEncryptionMechanism.RSAES_OAEP_SHA_256,
        attestation_document=authority.document(),
    )
    return GenerateRandomRequest(number_of_bytes=8, recipient=recipient)
