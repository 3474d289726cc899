"""The aws command, unchanged: a key's whole life as an administrator types it."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ports
from agents import RunningAgent

REGION = "eu-central-1"
AWS = Path(sys.executable).with_name("aws")


class Shell:
    """Somebody who has the aws command, an endpoint and an access key, and nothing else."""

    def __init__(self, agent: RunningAgent, directory: Path, credentials: dict[str, str]) -> None:
        (url,) = ports.doors(agent)[1:]
        self.directory = directory
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            **{name.upper(): value for name, value in credentials.items()},
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `aws kms` and return how it ended."""
        return subprocess.run(
            [AWS, "kms", *arguments],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it prints
        """Run `aws kms`, which has to succeed, and return what it prints."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout) if result.stdout else None


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """The account's administrator."""
    with ports.running({}, region=REGION) as agent:
        yield Shell(agent, tmp_path, ports.make_key(agent, "root"))


def test_the_whole_life_of_a_key(shell: Shell) -> None:
    """Create, name, encrypt a file, rotate, decrypt, disable, enable, delete: each step as documented."""
    key = shell.ask("create-key", "--description", "letters", "--tags", "TagKey=team,TagValue=mail")
    key_id = key["KeyMetadata"]["KeyId"]
    assert shell.ask("create-alias", "--alias-name", "alias/letters", "--target-key-id", key_id) is None
    assert shell.ask("list-resource-tags", "--key-id", key_id)["Tags"][0]["TagValue"] == "mail"

    secret = shell.directory / "secret"
    secret.write_bytes(os.urandom(1000))
    context = ("--encryption-context", "purpose=test,owner=me")
    sealed = shell.ask("encrypt", "--key-id", "alias/letters", "--plaintext", f"fileb://{secret}", *context)[
        "CiphertextBlob"
    ]
    ciphertext = shell.directory / "secret.encrypted"
    ciphertext.write_bytes(base64.b64decode(sealed))

    shell.ask("rotate-key-on-demand", "--key-id", key_id)
    while not shell.ask("list-key-rotations", "--key-id", key_id)["Rotations"]:
        pass
    opened = shell.ask("decrypt", "--ciphertext-blob", f"fileb://{ciphertext}", *context)
    assert base64.b64decode(opened["Plaintext"]) == secret.read_bytes()
    refused = shell.run("decrypt", "--ciphertext-blob", f"fileb://{ciphertext}")
    assert refused.returncode
    assert "InvalidCiphertextException" in refused.stderr

    shell.ask("disable-key", "--key-id", key_id)
    refused = shell.run("decrypt", "--ciphertext-blob", f"fileb://{ciphertext}", *context)
    assert "DisabledException" in refused.stderr
    assert "is disabled" in refused.stderr
    shell.ask("enable-key", "--key-id", key_id)

    scheduled = shell.ask("schedule-key-deletion", "--key-id", key_id, "--pending-window-in-days", "7")
    assert scheduled["KeyState"] == "PendingDeletion"
    refused = shell.run("encrypt", "--key-id", key_id, "--plaintext", f"fileb://{secret}")
    assert "KMSInvalidStateException" in refused.stderr
    shell.ask("cancel-key-deletion", "--key-id", key_id)
    assert shell.ask("describe-key", "--key-id", key_id)["KeyMetadata"]["KeyState"] == "Disabled"


def test_policies_from_a_file(shell: Shell) -> None:
    """A policy is put from a file, and one that would lock everybody out is refused with the reason."""
    key_id = shell.ask("create-key")["KeyMetadata"]["KeyId"]
    text = shell.ask("get-key-policy", "--key-id", key_id, "--policy-name", "default")["Policy"]
    policy = json.loads(text)
    policy["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::000000000000:user/nobody-here"}
    path = shell.directory / "policy.json"
    path.write_text(json.dumps(policy))
    put = ("put-key-policy", "--key-id", key_id, "--policy-name", "default", "--policy", f"file://{path}")
    refused = shell.run(*put)
    assert "MalformedPolicyDocument" in refused.stderr
    assert json.loads(shell.ask("get-key-policy", "--key-id", key_id)["Policy"]) == json.loads(text)
    path.write_text(text)
    shell.ask(*put)


def test_pages_are_put_together(shell: Shell) -> None:
    """Listings are followed to their end, whatever the page size."""
    made = sorted(shell.ask("create-key")["KeyMetadata"]["KeyId"] for _ in range(5))
    listed = shell.ask("list-keys", "--page-size", "2")["Keys"]
    assert [entry["KeyId"] for entry in listed] == made


def test_without_the_right_secret_nothing_works(shell: Shell) -> None:
    """A wrong secret is refused as AWS refuses it."""
    shell.environ["AWS_SECRET_ACCESS_KEY"] = "0" * 40
    refused = shell.run("list-keys")
    assert "InvalidSignatureException" in refused.stderr
