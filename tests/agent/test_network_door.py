"""A network door on a real port, in the test's own process: what needs a clock that can be set."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from agent.api.errors import MissingAuthenticationTokenException
from agent.api.operations import ADMINISTRATION
from agent.api.shapes.keys import Tag
from agent.config import Limits
from agent.doors.network import NetworkDoor
from agent.doors.refusals import BURST, RefusalDesk, unknown_caller
from agent.endpoint import Endpoint
from agent.http import Request, Server
from agent.keys.identity import PrincipalProfile
from agent.keys.principal import Principal
from ports import error_of, kms
from services import ACCOUNT, Clock, Service

ROLE = f"arn:aws:iam::{ACCOUNT}:role/backup"


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    """Serve a port, with the clock at now, since boto3 signs by it; yields the address."""
    service.clock.seconds = time.time()
    endpoint = Endpoint(service.kms, service.audit, {})
    door = NetworkDoor(endpoint, (), RefusalDesk(service.audit))
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(door.open_session, Limits()).serve, listener, stop)
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        stop.set()


async def session(service: Service, **members: object) -> dict[str, str]:
    """Make a session of the role as root; return it as boto3 takes it."""
    known = {"principal_arn": ROLE, "role_session_name": "nightly"} | members
    made = await service.call(ADMINISTRATION["CreateSession"], **known)
    return {
        "aws_access_key_id": made.access_key_id,
        "aws_secret_access_key": made.secret_access_key,
        "aws_session_token": made.session_token,
    }


async def refused(url: str, credentials: dict[str, str]) -> tuple[str, str]:
    """Have boto3 list keys in vain."""
    return await trio.to_thread.run_sync(lambda: error_of(kms(url, credentials), "list_keys"))


async def test_an_expired_session_is_told_so(service: Service) -> None:
    """A session ends by the agent's clock; who has its secret is told that it has expired, others are not."""
    async with served(service) as url:
        credentials = await session(service, duration_seconds=900)
        assert (await refused(url, credentials))[0] == "AccessDeniedException"
        service.clock.advance(seconds=900)
        code, message = await refused(url, credentials)
        assert (code, message) == (
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )
        wrong = credentials | {"aws_secret_access_key": "wrong"}
        assert (await refused(url, wrong))[0] == "InvalidSignatureException"
    assert service.records()[-2]["errorCode"] == "ExpiredTokenException"


async def test_tags_of_the_role_and_of_the_session_are_the_principals(service: Service) -> None:
    """Policies see the tags kept of a role, those of its session over them."""
    with service.kms.store.write() as transaction:
        transaction.put(PrincipalProfile(ROLE, (("site", "north"), ("team", "none"))))
    credentials = await session(service, tags=(Tag(tag_key="team", tag_value="storage"),))
    async with served(service) as url:
        for key, value, works in (
            ("team", "storage", True),
            ("site", "north", True),
            ("team", "none", False),
        ):
            statement = {
                "Effect": "Allow",
                "Action": "kms:ListKeys",
                "Resource": "*",
                "Condition": {"StringEquals": {f"aws:PrincipalTag/{key}": value}},
            }
            service.allow(Principal(ROLE, ACCOUNT, "backup"), statement)
            if works:
                await trio.to_thread.run_sync(lambda: kms(url, credentials).list_keys())
            else:
                assert (await refused(url, credentials))[0] == "AccessDeniedException"


async def test_refusals_are_recorded_at_a_bounded_rate(service: Service) -> None:
    """After a burst there is one record a second; it tells how many refusals were left out before it."""
    clock = Clock()
    desk = RefusalDesk(service.audit, clock)
    error = MissingAuthenticationTokenException("Request is missing Authentication Token")
    request = Request(b"POST", b"/", ((b"x-amz-target", b"TrentService.Decrypt"),), b"")

    async def refuse(count: int) -> None:
        for _ in range(count):
            reply = await desk.refuse(error, unknown_caller(), request, "request", "192.0.2.1")
            assert reply.status == 400

    await refuse(BURST + 30)
    assert len(service.records()) == BURST
    clock.advance(seconds=1)
    await refuse(2)
    assert len(service.records()) == BURST + 1
    record: dict[str, Any] = service.records()[-1]
    assert record["additionalEventData"] == {"refusalsNotRecorded": 30}
    assert (record["eventName"], record["sourceIPAddress"]) == ("Decrypt", "192.0.2.1")
    clock.advance(seconds=1000)
    await refuse(BURST + 1)
    assert len(service.records()) == 2 * BURST + 1
