"""Keys are changed under programs at work: nothing they do is lost, and the old key can go."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents import RunningAgent
from decoder import decode
from decoding import volume_keys
from mounts import Volume
from rewraps import disable, new_key
from rotations import rotate
from trees import differences, make_odd_tree, snapshot

WORKERS = 3
FILES = 8


class Worker(threading.Thread):
    """A program that makes, appends to, cuts, renames and reads files, and knows what has to be in them."""

    def __init__(self, directory: Path, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.directory = directory
        self.content: dict[str, bytes] = {}
        self.rounds = 0
        self.failure: BaseException | None = None
        self._stop_asked = stop

    def run(self) -> None:
        """Work until told to stop."""
        try:
            self.directory.mkdir()
            with (self.directory / "held").open("w+b", buffering=0) as held:
                while not self._stop_asked.is_set():
                    self._round(held.fileno())
                    self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failure = error

    def _round(self, held: int) -> None:
        name = f"{self.rounds % FILES}"
        piece = os.urandom(1 + self.rounds * 977 % 9000)
        os.pwrite(held, piece, len(self.content.get("held", b"")))
        self.content["held"] = self.content.get("held", b"") + piece
        with (self.directory / name).open("ab") as file:
            file.write(piece)
        self.content[name] = self.content.get(name, b"") + piece
        if self.rounds % 3 == 0:
            size = len(self.content[name]) // 2
            os.truncate(self.directory / name, size)
            self.content[name] = self.content[name][:size]
        if self.rounds % 5 == 0:
            (self.directory / name).rename(self.directory / f"moved {name}")
            self.content[f"moved {name}"] = self.content.pop(name)
        for other, expected in self.content.items():
            assert (self.directory / other).read_bytes() == expected, other


@contextmanager
def at_work(volume: Volume) -> Iterator[list[Worker]]:
    """Let programs work on a mount until the body ends."""
    stop = threading.Event()
    workers = [Worker(volume.path / f"worker {number}", stop) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def told(volume: Volume, *arguments: str | Path) -> dict[str, Any]:
    """Run a command with --json and return its object; it may have left files that are open."""
    result = volume.kmsfs(*arguments, "--json")
    assert result.returncode in {0, 14}, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_keys_change_under_programs_at_work(volume: Volume, shared_agent: RunningAgent) -> None:
    """Through rotation, another KMS key and new data keys, all is as the programs left it."""
    make_odd_tree(volume.path, 40)
    before = snapshot(volume.path)
    (row,) = json.loads(volume.kmsfs("status", "--json", volume.path).stdout)[0]["volume"]["keys"]
    first, second = new_key(shared_agent), new_key(shared_agent)
    assert row["key_arn"] not in {first, second}
    with at_work(volume) as workers:
        told(volume, "rewrap", "--key", first, "--files", volume.path)
        with shared_agent.client() as client:
            rotate(client, first)
        told(volume, "rewrap", "--files", volume.path)
        done = told(volume, "reencrypt", "--recursive", volume.path)
        assert done["reencrypted"] > 0
        told(volume, "rewrap", "--key", second, "--files", volume.path)
        rounds = [worker.rounds for worker in workers]
        last = told(volume, "rewrap", "--files", volume.path)
        assert not last["left"]
    assert [worker.failure for worker in workers] == [None] * WORKERS
    assert all(worker.rounds > 0 for worker in workers), rounds
    # Nobody is at work any more: what could not be dropped for that goes now.
    last = told(volume, "rewrap", "--files", volume.path)
    assert last["files"]["is_complete"]
    disable(shared_agent, first)
    volume.remount()
    for worker in workers:
        found = {path.name: path.read_bytes() for path in worker.directory.iterdir()}
        assert found == worker.content
    after = snapshot(volume.path)
    ours = {name: entry for name, entry in after.items() if not name.startswith(b"worker ")}
    assert differences(ours, before) == []
    (status,) = json.loads(volume.kmsfs("status", "--keys", "--json", volume.path).stdout)
    (only,) = status["files"]["under"]
    assert only["key_arn"] == second
    assert only["key_material_id"] == status["volume"]["volume_key_material_id"]
    assert status["running"]["counters"]["integrity_errors"] == 0
    volume.unmount()
    assert volume.kmsfs("verify", "--deep", volume.backing).returncode == 0
    read = {entry.path for entry in decode(volume.backing, volume_keys(volume.backing, volume.agent_url))}
    assert read - {b""} == after.keys(), "the second reader, which knows the format alone, reads all of it"


def test_a_mount_that_is_killed_at_it(volume: Volume, shared_agent: RunningAgent) -> None:
    """The mount ends in the middle of headers and of files: the next one has everything that was synced."""
    (volume.path / "directory").mkdir()
    for number in range(150):
        (volume.path / "directory" / f"{number}").write_bytes(b"%d" % number * 3000)
    os.sync()
    before = snapshot(volume.path)
    for ask in ("rewrap", "reencrypt"):
        options = ["--files", "--key", new_key(shared_agent)] if ask == "rewrap" else ["--recursive"]
        asked = threading.Thread(target=volume.kmsfs, args=(ask, *options, volume.path))
        inodes = headers(volume)
        asked.start()
        while len(headers(volume) & inodes) > len(inodes) // 2 and asked.is_alive():
            os.sched_yield()
        volume.kill()
        asked.join()
        volume.mount()
        found = snapshot(volume.path)
        del found[b"directory"], before[b"directory"]
        assert differences(found, before) == []
        before = snapshot(volume.path)
        told(volume, ask, *options, volume.path)
    volume.unmount()
    assert volume.kmsfs("verify", "--deep", volume.backing).returncode == 0
    assert not list(volume.backing.glob("**/.kmsfs.tmp.*"))


def headers(volume: Volume) -> set[bytes]:
    """Return what lies before the sealed block in the headers of files, as it is now."""
    found = set()
    for path in volume.backing.glob("[!.]*/*"):
        if not path.name.startswith(".kmsfs"):
            with path.open("rb") as file:
                found.add(file.read(376))
    return found
