"""The page on sharing secrets does what it says: its commands, typed one after the other."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ports
from agents import RunningAgent
from outsiders import openssl
from pages import fenced_blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share-secrets.md"
REGION = "local"


@pytest.fixture
def agent() -> Iterator[RunningAgent]:
    """An agent with a TCP port."""
    with ports.running({}, region=REGION) as agent:
        yield agent


def commands(page: Path) -> Iterator[str]:
    """Yield each command of a page, with the lines that continue it."""
    for kind, text in fenced_blocks(page):
        if kind == "console":
            yield from re.findall(r"^\$ ((?:.*\\\n)*.*)", text, re.MULTILINE)


def test_the_page(agent: RunningAgent, tmp_path: Path) -> None:
    """The note that was encrypted outside is read, and openssl gets the secret that was derived."""
    url = ports.doors(agent)[1]
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL_KMS": url,
        "AWS_DEFAULT_REGION": REGION,
        **{name.upper(): value for name, value in ports.make_key(agent, "root").items()},
    }
    (tmp_path / "note").write_text("read me\n")
    key, answers = "", []
    for command in commands(PAGE):
        result = subprocess.run(
            ["bash", "-o", "pipefail", "-c", re.sub(r"\bKEY\b", key, command)],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        if "create-key" in command:
            key = result.stdout.strip()
        answers.append(result.stdout)
    assert "read me\n" in answers
    secret = base64.b64decode(json.loads(answers[-1])["SharedSecret"])
    (tmp_path / "ours.der").write_bytes(public_key(environ, key))
    openssl("pkey", "-pubin", "-inform", "DER", "-in", tmp_path / "ours.der", "-out", tmp_path / "ours.pem")
    derive = ("pkeyutl", "-derive", "-inkey", tmp_path / "mine.pem", "-peerkey", tmp_path / "ours.pem")
    assert openssl(*derive).stdout == secret


def public_key(environ: dict[str, str], key: str) -> bytes:
    """Return a key's public half."""
    asked = ["aws", "kms", "get-public-key", "--key-id", key, "--query", "PublicKey", "--output", "text"]
    return base64.b64decode(subprocess.run(asked, env=environ, capture_output=True, check=True).stdout)
