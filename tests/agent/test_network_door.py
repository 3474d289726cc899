"""A network door on a real port, in the test's own process: what needs a clock that can be set."""

import http.client
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

import ports
from agent.api.errors import MissingAuthenticationTokenException
from agent.api.operations import ADMINISTRATION
from agent.api.shapes.keys import Tag
from agent.authn.signingkeys import SigningKeys
from agent.config import Limits
from agent.doors.network import NetworkDoor
from agent.doors.refusals import BURST, RefusalDesk, unknown_caller
from agent.doors.tls import TlsPort
from agent.endpoint import Endpoint
from agent.http import Request, Server
from agent.keys.identity import PrincipalProfile
from agent.keys.principal import Principal
from agent.settings.listen import Tls
from agent.settings.principals import Match, PrincipalRule
from certificates import Authority, dns
from ports import error_of, kms
from services import ACCOUNT, Clock, Service

ROLE = f"arn:aws:iam::{ACCOUNT}:role/backup"


@asynccontextmanager
async def served(
    service: Service, port: TlsPort | None = None, rules: tuple[PrincipalRule, ...] = ()
) -> AsyncIterator[str]:
    """Serve a port, with the clock at now, since boto3 signs by it; yields the address."""
    service.clock.seconds = time.time()
    endpoint, keys = Endpoint(service.kms, service.audit, {}), SigningKeys(service.kms.barrier.unwrap_secret)
    door = NetworkDoor(endpoint, rules, RefusalDesk(service.audit), keys)
    server = Server(door.open_session, Limits(), None if port is None else port.secure)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listener, stop)
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


async def test_a_certificate_that_expires_meanwhile_is_no_longer_good(
    service: Service, tmp_path: Path
) -> None:
    """The end of a certificate is the end of its connection's rights, however long that is open."""
    authority = Authority(tmp_path)
    server, client = authority.issue_server(), authority.issue("admin", dns("admin.example.org"))
    settings = Tls(certificate=str(server.certificate), key=str(server.key), client_ca=str(authority.bundle))
    rule = PrincipalRule(match=Match(dns="admin.example.org"), arn=f"arn:aws:iam::{ACCOUNT}:root")
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.load_cert_chain(client.both)
    async with served(service, TlsPort(settings), (rule,)) as url:
        connection = http.client.HTTPSConnection(*ports.address(url), timeout=60, context=context)

        def ask() -> str:
            headers = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
            connection.request("POST", "/", b"{}", headers)
            return str(json.loads(connection.getresponse().read()).get("__type", ""))

        assert await trio.to_thread.run_sync(ask) == ""
        service.clock.advance(days=9.9)
        assert await trio.to_thread.run_sync(ask) == ""
        service.clock.advance(days=0.2)
        assert await trio.to_thread.run_sync(ask) == "UnrecognizedClientException"
        connection.close()


async def test_a_damaged_record_is_no_traceback(service: Service) -> None:
    """An access key whose secret cannot be unwrapped is an error of the agent's, answered and recorded."""
    credentials = await session(service)
    record = service.kms.store.access_key(credentials["aws_access_key_id"])
    assert record is not None
    with service.kms.store.write() as transaction:
        transaction.put(replace(record, wrapped_secret=record.wrapped_secret[:-1] + b"x"))
    async with served(service) as url:
        assert (await refused(url, credentials))[0] == "KMSInternalException"
    assert service.records()[-1]["errorCode"] == "KMSInternalException"


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
