"""A mount whose files have data keys of the KMS's own: what it does while the KMS refuses, or is silent."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import RunningAgent
from backgrounds import Place, user_of


@pytest.fixture
def volume(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """A mounted volume under a key of its own, alias/files, with a few files that nobody has opened since."""
    assert running_agent.command("key", "create", "--alias", "alias/files").returncode == 0
    made = Place(short_directory, user_of(running_agent))
    made.init("--key", "alias/files", "--mode", "direct")
    mount(made)
    (made.mountpoint / "directory").mkdir()
    for index in range(40):
        (made.mountpoint / "directory" / str(index)).write_text(f"content {index}")
    assert made.umount().returncode == 0
    assert made.has_ended()
    mount(made)
    yield made
    made.discard()


def mount(place: Place) -> None:
    """Mount; it has to succeed."""
    result = place.mount()
    assert result.returncode == 0, result.stderr


def file(place: Place, index: int) -> Path:
    """Return where one of the files is."""
    return place.mountpoint / "directory" / str(index)


def opens(path: Path) -> int:
    """Open a file for reading; return the errno, 0 for none."""
    try:
        path.open("rb").close()
    except OSError as error:
        return error.errno or -1
    return 0


def decrypted(agent: RunningAgent) -> list[str]:
    """Return the file ids whose data keys were decrypted, as the audit log has them, one for each time."""
    records = [json.loads(line) for line in agent.audit_path.read_bytes().splitlines()]
    contexts = [
        record["requestParameters"]["encryptionContext"]
        for record in records
        if record["eventName"] == "Decrypt"
    ]
    return [context["kmsfs:file"] for context in contexts if "kmsfs:file" in context]


def test_each_file_is_asked_for_once(volume: Place, running_agent: RunningAgent) -> None:
    """Opening a file is one record in the audit log, opening it again at once is none, listing it is none."""
    assert len(os.listdir(volume.mountpoint / "directory")) == 40
    assert file(volume, 0).stat().st_size == len("content 0")
    assert decrypted(running_agent) == []
    for index in (1, 2, 1, 2):
        assert file(volume, index).read_text() == f"content {index}"
    found = decrypted(running_agent)
    assert len(found) == len(set(found)) == 2


def test_a_disabled_key_is_missed_at_the_next_opening(volume: Place, running_agent: RunningAgent) -> None:
    """Open files go on, others are ENOKEY at once, none is made; and all is well once the key is enabled."""
    with file(volume, 1).open("r+b") as opened:
        assert running_agent.command("key", "disable", "alias/files").returncode == 0
        assert opens(file(volume, 2)) == errno.ENOKEY
        assert opened.read() == b"content 1"
        opened.write(b"!")
    with pytest.raises(OSError, match="Required key not available"):
        (volume.mountpoint / "new").write_text("")
    assert sorted(os.listdir(volume.mountpoint)) == ["directory"]
    assert file(volume, 2).stat().st_size == len("content 2")
    assert running_agent.command("key", "enable", "alias/files").returncode == 0
    assert file(volume, 2).read_text() == "content 2"
    (volume.mountpoint / "new").write_text("new")
    assert file(volume, 1).read_text() == "content 1!"
    assert volume.status()["running"]["counters"]["unforeseen_errors"] == 0


def test_others_are_answered_while_an_opening_waits(volume: Place, running_agent: RunningAgent) -> None:
    """While the agent restarts, its files wait and all else goes on."""
    opened = file(volume, 1).open("rb")
    running_agent.stop()
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(file(volume, 2).read_text()))
    waiting.start()
    assert opened.read() == b"content 1"
    assert len(os.listdir(volume.mountpoint / "directory")) == 40
    (volume.mountpoint / "another directory").mkdir()
    assert waiting.is_alive()
    running_agent.start()
    waiting.join()
    opened.close()
    assert found == ["content 2"]


def test_an_agent_that_stays_away(volume: Place, running_agent: RunningAgent) -> None:
    """It is waited for once, not once for each file; then openings are ENOKEY, until it is back."""
    running_agent.stop()
    assert [opens(file(volume, index)) for index in range(20)] == [errno.ENOKEY] * 20
    assert len(os.listdir(volume.mountpoint / "directory")) == 40
    running_agent.start()
    assert [opens(file(volume, index)) for index in range(40)] == [0] * 40


def test_an_agent_that_hangs(volume: Place, running_agent: RunningAgent) -> None:
    """What asks it waits, then is ENOKEY; all else goes on, and so do openings once the agent does."""
    with file(volume, 1).open("rb") as opened:
        os.kill(running_agent.pid, signal.SIGSTOP)
        try:
            found: list[int] = []
            waiting = [
                threading.Thread(target=lambda index=index: found.append(opens(file(volume, index))))
                for index in range(2, 22)
            ]
            for thread in waiting:
                thread.start()
            assert opened.read() == b"content 1"
            assert len(os.listdir(volume.mountpoint / "directory")) == 40
            for thread in waiting:
                thread.join()
        finally:
            os.kill(running_agent.pid, signal.SIGCONT)
    assert found == [errno.ENOKEY] * 20
    assert file(volume, 2).read_text() == "content 2"


def test_renaming_and_cutting_wait_too(volume: Place) -> None:
    """Requests that open a file by themselves are repeated in whole."""
    file(volume, 3).rename(volume.mountpoint / "moved")
    assert (volume.mountpoint / "moved").read_text() == "content 3"
    os.truncate(file(volume, 4), 3)
    assert file(volume, 4).read_text() == "con"
    os.setxattr(file(volume, 5), "user.origin", b"a test")
    assert os.getxattr(file(volume, 5), "user.origin") == b"a test"
    os.link(file(volume, 6), volume.mountpoint / "second name")
    assert (volume.mountpoint / "second name").read_text() == "content 6"
    with (volume.mountpoint / ("long name" * 25)).open("x") as made:
        made.write("long")
    assert volume.status()["running"]["counters"]["unforeseen_errors"] == 0
