"""Owns what a volume in use does for kmsfs commands: which jobs there are, and how a mount's door speaks.

One line of JSON comes in, {"ask": "policy-set", …}. Lines go out: {"progress": …} any number of times, then
{"done": true, …} or {"error": …}. Knows neither sockets nor threads: whoever runs a conversation sends what
it yields, makes the calls that it asks for in a worker thread, and lets others run in between.
"""

import json
import logging
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kmsfs import policies, refusals
from kmsfs.core import Core
from kmsfs.errors import VolumeError
from kmsfs.jobs import Call, Job
from kmsfs.reencrypt import Reencrypt, reencrypt
from kmsfs.rewrap import Rewrap, rewrap

_LOG: Final = logging.getLogger(__name__)

Request = Mapping[str, object]


class Ask(NamedTuple):
    """Something that can be asked for.

    Attributes:
        shape: a msgspec.Struct of the request's other members.
        job: does it, given the core and such a request.
        changes: whether it changes the volume; otherwise a read-only mount does it too.
    """

    shape: type[msgspec.Struct]
    job: Callable[[Core, Any], Job]
    changes: bool


_ASKS: Final[Mapping[str, Ask]] = {
    "policy-set": Ask(policies.SetPolicy, policies.set_policy, changes=True),
    "policy-show": Ask(policies.ShowPolicy, policies.show_policy, changes=False),
    "policy-list": Ask(policies.ListPolicies, policies.list_policies, changes=False),
    "reencrypt": Ask(Reencrypt, reencrypt, changes=True),
    "rewrap": Ask(Rewrap, rewrap, changes=True),
}


def changes(request: Request) -> bool:
    """Say whether what is asked for changes the volume."""
    return _ask(request).changes


def job(core: Core, request: Request) -> Job:
    """Return the job that is asked for; nothing of it is done yet.

    Raises:
        VolumeError: no such thing can be asked for, or not of a volume that is mounted read-only.
    """
    ask = _ask(request)
    if ask.changes and core.volume.read_only:
        raise VolumeError("the volume is mounted read-only; unmount it, or mount it for writing")
    members = {name: value for name, value in request.items() if name != "ask"}
    try:
        return ask.job(core, msgspec.convert(members, ask.shape))
    except msgspec.ValidationError as error:
        raise VolumeError(f"this mount does not understand {request['ask']}: {error}") from None


def converse(
    line: bytes, core: Core, report: Callable[[], Mapping[str, object]]
) -> Generator[bytes | Call | None, None, None]:
    """Answer one line; yield what to send, calls to make in a worker thread, and None to let others run.

    Args:
        line: what was asked.
        core: of the mount.
        report: what {"ask": "status"} is answered with, at that moment.
    """
    try:
        request = _request(line)
        done = report() if request["ask"] == "status" else (yield from _told(job(core, request)))
    except refusals.FORESEEN as error:
        yield _line(refusals.spell(error))
    except Exception as error:  # noqa: BLE001 - a job must not take the mount with it
        _LOG.exception("a request at the door failed in a way that nobody foresaw")
        yield _line({"error": f"{type(error).__name__}; the log of the mount says more"})
    else:
        yield _line({"done": True, **done})


def _told(work: Job) -> Generator[bytes | Call | None, None, Mapping[str, object]]:
    """Run a job, with what it tells turned into lines."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            result: Mapping[str, object] = end.value
            return result
        try:
            yield step if step is None or isinstance(step, Call) else _line({"progress": step})
        except GeneratorExit:
            work.close()
            raise


def _request(line: bytes) -> Request:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("ask"), str):
        raise VolumeError("not a request")
    return request


def _ask(request: Request) -> Ask:
    ask = _ASKS.get(str(request.get("ask")))
    if ask is None:
        raise VolumeError(f"this mount cannot be asked for {request.get('ask')}; mount it anew")
    return ask


def _line(told: Mapping[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"
