"""Who local callers are, asked of real agents by real processes of other users, groups and units."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ports
from agents import RunningAgent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")

ACCOUNT = "000000000000"
NOBODY = 65534
AUDIO = "audio"  # a group that every Debian has, and that is nobody's primary one
HIERARCHY = Path("/sys/fs/cgroup/systemd")
UNIFIED = Path("/sys/fs/cgroup")

ASK = """
import http.client, json, os, socket, sys

if len(sys.argv) > 2:
    with open(os.path.join(sys.argv[2], "cgroup.procs"), "w") as members:
        members.write(str(os.getpid()))
    os.setgid(65534)
    os.setuid(65534)
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
headers = {"X-Amz-Target": "TrentService.GenerateRandom", "Content-Type": "application/x-amz-json-1.1"}
connection.request("POST", "/", b'{"NumberOfBytes":1}', headers)
print(connection.getresponse().read().decode())
"""

GONE = """
import os, socket, sys, http.client

ours, theirs = socket.socketpair()
if os.fork() == 0:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    socket.send_fds(theirs, [b"x"], [connection.fileno()])
    os._exit(0)
_, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
if sys.argv[3] == "reaped":
    os.wait()
else:
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
os.kill(int(sys.argv[2]), 18)  # SIGCONT: now the agent may look
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(fileno=descriptor)
headers = {"X-Amz-Target": "TrentService.GenerateRandom", "Content-Type": "application/x-amz-json-1.1"}
connection.request("POST", "/", b'{"NumberOfBytes":1}', headers)
print(connection.getresponse().read().decode())
"""


def started(
    make_agent: Callable[[], RunningAgent], *rules: dict[str, Any], **settings: object
) -> RunningAgent:
    """Start an agent that everybody may connect to, with these rules."""
    agent = make_agent()
    agent.directory.chmod(0o755)
    ports.start(agent, principals=list(rules), socket_mode="0666", **settings)
    return agent


def identity(agent: RunningAgent) -> dict[str, Any]:
    """Return who the last record says has asked."""
    found: dict[str, Any] = ports.records(agent)[-1]["userIdentity"]
    return found


def asked(
    agent: RunningAgent, *prefix: str, program: str = ASK, arguments: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Ask the agent from another process; return its answer."""
    result = subprocess.run(
        [*prefix, sys.executable, "-P", "-c", program, str(agent.socket_path), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


AS_NOBODY = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")


def test_uid_user_and_groups_are_what_the_kernel_says(make_agent: Callable[[], RunningAgent]) -> None:
    """Rules see the uid, the login, the primary group and the supplementary ones of the other process."""
    agent = started(
        make_agent,
        {"match": {"group": AUDIO}, "arn": "arn:aws:iam::{account}:user/by-group/{group}"},
        {"match": {"user": "nob*", "gid": 1}, "arn": "arn:aws:iam::{account}:role/by-gid/{user}-{gid}"},
        {"match": {"uid": NOBODY}, "arn": "arn:aws:iam::{account}:user/by-uid/{uid}"},
    )
    asked(agent, *AS_NOBODY)
    assert identity(agent)["arn"] == f"arn:aws:iam::{ACCOUNT}:user/by-uid/{NOBODY}"
    asked(agent, "setpriv", "--reuid", str(NOBODY), "--regid", "1", "--clear-groups")
    assert identity(agent)["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody-1/uid-{NOBODY}"
    assert identity(agent)["type"] == "AssumedRole"
    asked(agent, "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--groups", AUDIO)
    assert identity(agent)["arn"] == f"arn:aws:iam::{ACCOUNT}:user/by-group/{AUDIO}"
    asked(agent, "setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups")
    assert identity(agent)["arn"] == f"arn:aws:iam::{ACCOUNT}:user/uid-4242"
    asked(agent)
    assert identity(agent)["type"] == "Root"


def test_too_many_groups_are_not_taken_for_none(make_agent: Callable[[], RunningAgent]) -> None:
    """Who is in more groups than can be asked for is refused where a rule needs to know them."""
    agent = started(
        make_agent, {"match": {"group": "suspended-*"}, "arn": "arn:aws:iam::{account}:user/suspended"}
    )
    groups = ",".join(str(number) for number in range(5000, 5300))
    answer = asked(agent, "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--groups", groups)
    assert answer["__type"] == "AccessDeniedException"
    assert "cannot tell who you are" in answer["Message"]
    assert identity(agent) == {"type": "Unknown", "principalId": f"uid-{NOBODY}"}


@pytest.fixture
def cgroup() -> Iterator[tuple[str, Path]]:
    """A cgroup that looks as if systemd had made it for a unit; skips where none can be made."""
    unit = f"kmsfs-test-{uuid.uuid4()}.service"
    hierarchy = HIERARCHY if HIERARCHY.is_dir() else UNIFIED
    slices = hierarchy / "system.slice"
    had_slices = slices.exists()
    path = slices / unit
    try:
        path.mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield unit, path
    path.rmdir()
    if not had_slices:
        slices.rmdir()


def test_the_unit_is_that_of_the_cgroup(
    make_agent: Callable[[], RunningAgent], cgroup: tuple[str, Path]
) -> None:
    """A process in a unit's cgroup is the role of that unit; the same user outside of it is not."""
    unit, path = cgroup
    agent = started(
        make_agent, {"match": {"unit": "kmsfs-test-*"}, "arn": "arn:aws:iam::{account}:role/unit/{unit}"}
    )
    asked(agent, arguments=(str(path),))
    found = identity(agent)
    assert found["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{unit}/uid-{NOBODY}"
    assert found["sessionContext"]["sessionIssuer"]["arn"] == f"arn:aws:iam::{ACCOUNT}:role/unit/{unit}"
    asked(agent, *AS_NOBODY)
    assert identity(agent)["arn"] == f"arn:aws:iam::{ACCOUNT}:user/nobody"


@pytest.mark.parametrize("end", ["reaped", "zombie"])
def test_who_is_gone_before_the_agent_looks_has_no_unit_to_hide(
    make_agent: Callable[[], RunningAgent], end: str
) -> None:
    """A connection whose maker has ended is refused where its unit would decide, not taken for root's."""
    agent = started(
        make_agent, {"match": {"unit": "confined.service"}, "arn": "arn:aws:iam::{account}:user/c"}
    )
    os.kill(agent.pid, 19)  # SIGSTOP: so that the maker of the connection is gone before the agent looks
    answer = asked(agent, program=GONE, arguments=(str(agent.pid), end))
    assert answer["__type"] == "AccessDeniedException"
    assert identity(agent) == {"type": "Unknown", "principalId": "uid-0"}


def test_the_region_of_a_local_request(make_agent: Callable[[], RunningAgent]) -> None:
    """A header names the Region, else the key ARN does where it is served, else it is the default."""
    agent = started(make_agent, regions=["eu-central-1"])
    arns = []
    for header in ({}, {"X-KMS-Region": "eu-central-1"}):
        answer = local(agent, "CreateKey", {}, header)
        arns.append(answer["KeyMetadata"]["Arn"])
    assert [arn.split(":")[3] for arn in arns] == ["local", "eu-central-1"]
    for arn in arns:
        assert local(agent, "DescribeKey", {"KeyId": arn})["KeyMetadata"]["Arn"] == arn
        assert ports.records(agent)[-1]["awsRegion"] == arn.split(":")[3]
    refused = local(agent, "DescribeKey", {"KeyId": arns[1]}, {"X-KMS-Region": "local"})
    assert (refused["__type"], refused["message"]) == ("NotFoundException", "Invalid arn eu-central-1")
    refused = local(agent, "DescribeKey", {"KeyId": arns[0].replace(":local:", ":mars:")})
    assert (refused["__type"], refused["message"]) == ("NotFoundException", "Invalid arn mars")
    refused = local(agent, "ListKeys", {}, {"X-KMS-Region": "mars"})
    assert refused["__type"] == "ValidationException"
    assert "these are: eu-central-1, local" in refused["Message"]


def local(
    agent: RunningAgent, name: str, members: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Ask as root on the socket, with the standard library's client."""
    connection = ports.UnixConnection(str(agent.socket_path))
    known = {"X-Amz-Target": f"TrentService.{name}", "Content-Type": "application/x-amz-json-1.1"}
    try:
        connection.request("POST", "/", json.dumps(members).encode(), known | (headers or {}))
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer
