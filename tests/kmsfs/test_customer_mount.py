"""Volumes and directories under a key that whoever mounts brings along, and that is nowhere stored."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backgrounds import Place

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
def alone(short_directory: Path) -> Iterator[Place]:
    """Directories of somebody whose agent does not exist, and two files with keys, key and other."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "AWS_"))}
    made = Place(short_directory, environ | {"KMS_AGENT_URL": f"unix://{short_directory}/none.sock"})
    for name, raw in (("key", base64.b64encode(KEY) + b"\n"), ("other", OTHER)):
        path = short_directory / name
        path.write_bytes(raw)
        path.chmod(0o600)
    yield made
    made.discard()


def key(place: Place, name: str = "key") -> tuple[str, str]:
    """Return the option that gives a key."""
    return "--customer-key-file", str(place.directory / name)


def test_a_volume_under_a_customers_key_needs_no_agent(alone: Place) -> None:
    """It is made, mounted, read and written with the key alone, and the key is nowhere on disk."""
    alone.init("--mode", "customer", *key(alone))
    mounted = alone.mount(*key(alone))
    assert mounted.returncode == 0, mounted.stderr
    (alone.mountpoint / "file").write_text("content")
    assert alone.status()["volume"]["keys"][0]["mode"] == "customer"
    environ = Path(f"/proc/{alone.pid()}/environ").read_bytes()
    arguments = Path(f"/proc/{alone.pid()}/cmdline").read_bytes()
    assert alone.umount().returncode == 0
    assert alone.has_ended()
    read = alone.kmsfs("cat", *key(alone), alone.ciphertext, "file")
    assert (read.returncode, read.stdout) == (0, "content"), read.stderr
    for spelling in (KEY, base64.b64encode(KEY), KEY.hex().encode()):
        assert spelling not in environ + arguments
        for directory, _, names in os.walk(alone.ciphertext):
            assert all(
                spelling not in Path(directory, name).read_bytes() for name in names if name != ".kmsfs"
            )


def test_a_wrong_or_missing_key_mounts_nothing(alone: Place) -> None:
    """The error says which key is wanted and how to give it; nothing on disk has changed."""
    alone.init("--mode", "customer", *key(alone))
    description = alone.ciphertext / ".kmsfs-volume" / "volume.yaml"
    before = description.read_bytes()
    for options, words in (((), "nobody gave"), (key(alone, "other"), "is not the one that policy 0")):
        refused = alone.mount(*options)
        assert refused.returncode == 7
        assert words in refused.stderr
        assert "--customer-key-file" in refused.stderr
    assert description.read_bytes() == before
    assert alone.mount(*key(alone, "other"), *key(alone)).returncode == 0


def test_a_key_comes_by_a_descriptor(alone: Place) -> None:
    """A pipe that the caller has opened gives the key, and the mount does not keep it open."""
    for command in (("init", "--mode", "customer", alone.ciphertext), ("ls", alone.ciphertext)):
        reading, writing = os.pipe()
        with open(writing, "wb") as pipe:
            pipe.write(KEY)
        result = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "kmsfs",
                command[0],
                "--customer-key-fd",
                str(reading),
                *command[1:],
            ],
            env=alone.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            pass_fds=[reading],
        )
        os.close(reading)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mode", "customer"), "needs one of --customer-key-file and --customer-key-fd"),
        (("--mode", "customer", "--key", "alias/x", "--customer-key-file", "key"), "not a KMS key"),
        (("--customer-key-file", "key"), "needs --mode customer"),
        (("--mode", "customer", "--customer-key-file", "none"), "cannot read the customer's key in none"),
        (("--mode", "customer", "--customer-key-file", "/etc/hostname"), "others may read"),
        (("--mode", "customer", "--customer-key-fd", "77"), "descriptor 77"),
    ],
)
def test_a_command_line_that_makes_no_sense(alone: Place, options: tuple[str, ...], words: str) -> None:
    """It is refused before anything is made."""
    result = alone.kmsfs("init", *options, alone.ciphertext)
    assert result.returncode == 2
    assert words in " ".join(result.stderr.split())
    assert not alone.ciphertext.exists()


def test_a_directory_under_a_customers_key(volume: Place) -> None:
    """Without its key it lists and does not open, and the rest of the volume works; with it, it opens."""
    path = volume.directory / "key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    assert volume.mount(*key(volume)).returncode == 0
    private = volume.mountpoint / "private"
    private.mkdir()
    set_policy = volume.kmsfs("policy", "set", private, "--mode", "customer", *key(volume))
    assert set_policy.returncode == 0, set_policy.stderr
    (private / "file").write_text("private")
    (volume.mountpoint / "file").write_text("content")
    assert volume.umount().returncode == 0
    assert volume.has_ended()

    assert volume.mount().returncode == 0
    assert os.listdir(private) == ["file"]
    assert (private / "file").stat().st_size == len("private")
    assert (volume.mountpoint / "file").read_text() == "content"
    for name in ("file", "new"):
        with pytest.raises(OSError, match="Required key not available") as caught:
            (private / name).open("a+b")
        assert caught.value.errno == errno.ENOKEY
    assert os.listdir(private) == ["file"]
    assert volume.umount().returncode == 0
    assert volume.has_ended()

    assert volume.mount(*key(volume)).returncode == 0
    assert (private / "file").read_text() == "private"
