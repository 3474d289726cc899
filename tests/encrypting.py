"""Default encryption of directories, as people set and see it: by command and by extended attribute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agents import RunningAgent
from backgrounds import Place
from kmsfs import volume as volumes


def new_key(agent: RunningAgent) -> str:
    """Make a KMS key and return its ARN."""
    made = agent_does(agent, "key", "create", "--json")
    return str(json.loads(made)["Arn"])


def agent_does(agent: RunningAgent, *arguments: str) -> str:
    """Run a kms-agent command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent", *arguments],
        env=agent.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def policy(place: Place, *arguments: str | Path) -> dict[str, Any]:
    """Run a kmsfs policy command that prints JSON."""
    result = place.kmsfs("policy", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def description(place: Place) -> volumes.VolumeDescription:
    """Return the volume's description as it is on disk now."""
    return volumes.load((place.ciphertext / ".kmsfs-volume" / "volume.yaml").read_bytes()).description


def key_of(path: Path) -> str:
    """Return the KMS key behind a file or directory, as its attribute tells."""
    return os.getxattr(path, "kmsfs.key-id").decode()


def policy_of(path: Path) -> int:
    """Return the policy of a file or directory, as its attribute tells."""
    index = json.loads(os.getxattr(path, "kmsfs.policy"))["policy"]
    assert isinstance(index, int)
    return index
