"""Nothing of what is kept in a volume, and none of its keys, lies on the store or in a log."""

from __future__ import annotations

import base64
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backgrounds import Place, user_of
from kmsfs import datakeys, paths
from kmsfs.cli.codes import ExitCode
from kmsfs.core import Core
from kmsfs.opening import open_volume
from trees import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents import RunningAgent

CONTENT = b"The content that nobody may read. "
NAME = "the-name-that-nobody-may-read"
LONG = NAME + "-" + "l" * 190
TARGET = "../the-target/that-nobody-may-read"
XATTR = "user.the-attribute-that-nobody-may-read"
VALUE = b"the value that nobody may read"
SECRETS = (CONTENT.strip(), b"nobody-may-read", VALUE)

IMPOSTOR = """
import os, socket, sys
os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """A new volume under an agent of the test's own."""
    made = Place(short_directory, user_of(running_agent))
    made.init()
    yield made
    made.discard()


def use(top: Path) -> None:
    """Do what programs do, with what nobody may read."""
    (top / NAME).mkdir()
    (top / NAME / LONG).write_bytes(CONTENT * 1000)
    (top / "file").write_bytes(CONTENT)
    os.setxattr(top / "file", XATTR, VALUE)
    (top / "file").rename(top / NAME / (NAME + "-moved"))
    (top / NAME / LONG).rename(top / LONG)
    (top / NAME / "link").symlink_to(TARGET)
    (top / "hard").hardlink_to(top / LONG)
    with (top / LONG).open("r+b") as file:
        file.seek(5000)
        file.write(CONTENT)
        os.fsync(file.fileno())
    os.truncate(top / LONG, 12345)


def spoil(place: Place) -> None:
    """Damage a file and an entry's name, so that there is something to be logged."""
    entries = [path for path in place.ciphertext.iterdir() if not path.is_symlink()]
    victim = next(path for path in entries if path.is_file() and path.stat().st_nlink == 2)
    with victim.open("r+b") as file:
        file.seek(600)
        file.write(b"?")
    (place.ciphertext / "planted").write_bytes(b"")


def keys_of(place: Place, agent: RunningAgent) -> list[bytes]:
    """Return every key of the volume: the agent has them, and a file's header its own."""
    with agent.client() as client, open_volume(str(place.ciphertext), client, read_only=True) as volume:
        description, keys = volume.description, volume.keys
        found = [keys.names, keys.records, keys.xattr, keys.mac, keys.bindings]
        found.append(datakeys.fetch_volume_key(client, description))
        found += [key._key for key in volume.keyring._keys.values()]  # type: ignore[attr-defined]  # bucket keys
        core = Core(volume)
        try:
            entry = paths.find(core, f"/{NAME}/{NAME}-moved".encode())
            file = core.open(entry.nodeid, os.O_RDONLY)
            found.append(file.chunks._keys.content_key)
            core.files.release(file.chunks.inode)
        finally:
            core.close()
    assert len(found) >= 8
    return found


def forms(secret: bytes) -> list[bytes]:
    """Return how a key may be written down: raw, in hexadecimal digits, in both alphabets of base64."""
    texts = [secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret)]
    return [secret, texts[0], texts[0].upper(), *(text.rstrip(b"=") for text in texts[1:])]


def everything_below(top: Path) -> Iterator[bytes]:
    """Yield all that lies below a directory: names, targets, attributes and content."""
    for path in below(top):
        yield os.fsencode(path.name)
        if path.is_symlink():
            yield os.fsencode(path.readlink())
        elif path.is_file():
            yield path.read_bytes()
            for name in os.listxattr(path):
                yield os.fsencode(name) + b"=" + os.getxattr(path, name)


def test_nothing_leaks(place: Place, running_agent: RunningAgent) -> None:
    """Neither the store nor any log, of the mount or of the agent, has content, names or keys."""
    assert place.mount().returncode == 0
    use(place.mountpoint)
    assert place.umount().returncode == 0
    secrets = [*SECRETS, *(form for key in keys_of(place, running_agent) for form in forms(key))]
    spoil(place)
    assert place.mount().returncode == 0
    with pytest.raises(OSError, match=r".") as caught:
        (place.mountpoint / LONG).read_bytes()
    assert caught.value.errno == errno.EIO
    told = [place.kmsfs("status", place.mountpoint), place.kmsfs("status", "--json", place.mountpoint)]
    os.listdir(place.mountpoint)
    # Killed, it has no time to take anything away.
    place.signal(signal.SIGABRT)
    assert place.has_ended()
    subprocess.run(["umount", "-l", "-c", place.mountpoint], check=True)
    places = [place.ciphertext, place.directory / "state", running_agent.state_directory / "log"]
    texts = [text for directory in places for text in everything_below(directory)]
    texts += [result.stdout.encode() + result.stderr.encode() for result in told]
    assert not list(Path.cwd().glob("core*"))
    for secret in secrets:
        assert not [text[:80] for text in texts if secret in text]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_an_impostor_is_not_asked(place: Place, short_directory: Path) -> None:
    """A socket that another user serves, in the agent's place, gives no key, and is named in the refusal."""
    directory = short_directory / "open"
    directory.mkdir()
    directory.chmod(0o777)
    short_directory.chmod(0o755)
    path = directory / "agent.sock"
    with subprocess.Popen(
        [sys.executable, "-c", IMPOSTOR, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as impostor:
        try:
            assert impostor.stdout is not None
            assert impostor.stdout.readline() == "ready\n"
            result = place.kmsfs("mount", "--agent", f"unix://{path}", place.ciphertext, place.mountpoint)
        finally:
            impostor.kill()
    assert result.returncode == ExitCode.NO_AGENT
    assert "65534" in result.stderr
