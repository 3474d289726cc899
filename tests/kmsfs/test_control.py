"""What is said at the door of a mount: requests, their answers, and what nobody foresaw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kmsfs import control
from kmsfs.core import Core
from kmsfs.jobs import Call
from offline import OfflineVolume, mkdir


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    """The core of an empty volume."""
    with OfflineVolume(tmp_path).core() as opened:
        yield opened


def no_report() -> Mapping[str, object]:
    """Answer for a mount that nobody asks for its status."""
    raise AssertionError


def said(core: Core, line: bytes) -> list[dict[str, Any]]:
    """Return the lines that a mount answers with."""
    lines = []
    for step in control.converse(line, core, no_report):
        if isinstance(step, Call):
            step.work()
        elif step is not None:
            assert step.endswith(b"\n")
            lines.append(json.loads(step))
    return lines


REFUSED = {
    "nothing": b"",
    "no JSON": b"status",
    "a list": b'["status"]',
    "not UTF-8": b"\xff\xfe",
    "nothing asked": b'{"path": "/"}',
    "a number asked": b'{"ask": 5}',
    "something unknown": b'{"ask": "sing"}',
    "no path": b'{"ask": "policy-show"}',
    "something unknown about it": b'{"ask": "policy-show", "path": "/", "loud": true}',
    "a wrong mode": b'{"ask": "policy-set", "path": "/", "mode": "none"}',
    "a wrong size": b'{"ask": "policy-set", "path": "/", "chunk_shift": 11}',
    "nesting": b"[" * 60_000,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_request_is_refused(case: str, core: Core) -> None:
    """Whatever is said, one line answers it, with a reason that people can read."""
    (answer,) = said(core, REFUSED[case])
    assert answer["kind"] == "VolumeError"
    assert answer["error"]


def test_errors_of_a_job_are_told(core: Core) -> None:
    """An error of the system comes with its number and path."""
    (answer,) = said(core, b'{"ask": "policy-show", "path": "/nowhere"}')
    assert answer == {"error": "No such file or directory", "errno": 2, "filename": "/nowhere"}


def test_bugs_are_told_as_bugs(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw does not end the mount; the log has the traceback, the answer the kind alone."""
    (answer,) = said(core, b'{"ask": "status"}')
    assert answer.keys() == {"error"}
    assert "AssertionError" in answer["error"]
    assert "Traceback" in caplog.text


def test_a_read_only_volume_is_not_changed(tmp_path: Path) -> None:
    """What changes something is refused, what only looks is not."""
    with OfflineVolume(tmp_path).core(read_only=True) as core:
        (refused,) = said(core, b'{"ask": "policy-set", "path": "/", "mode": "direct"}')
        assert "read-only" in refused["error"]
        (shown,) = said(core, b'{"ask": "policy-show", "path": "/"}')
        assert (shown["done"], shown["policy"]) == (True, 0)


def test_who_stops_listening_stops_the_job(core: Core) -> None:
    """A conversation that is closed closes its job, and gives back every reference that it took."""
    for number in range(50):
        core.inodes.forget(mkdir(core, b"%d" % number), 1)
    known = len(core.inodes)
    talking = control.converse(b'{"ask": "policy-list", "path": "/", "directories": true}', core, no_report)
    assert b"progress" in (next(talking) or b"")
    next(talking)
    talking.close()
    assert len(core.inodes) == known
