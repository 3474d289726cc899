"""The operations on access keys and sessions: who may, how many, and what is kept of them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.api.enums import AccessKeyStatus
from agent.api.errors import (
    AccessDeniedException,
    ExpiredTokenException,
    InvalidMarkerException,
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    TagException,
    UnrecognizedClientException,
    ValidationException,
)
from agent.api.operations import ADMINISTRATION
from agent.api.shapes.access_keys import CreateAccessKeyResponse, CreateSessionResponse
from agent.api.shapes.keys import Tag
from agent.authn.credentials import check_session, key_principal
from agent.keys.principal import Principal
from agent.operations.access_keys import KEYS_PER_PRINCIPAL, SESSIONS_PER_PRINCIPAL
from services import ACCOUNT, Service

ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/backup"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/nightly"
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}],
    }
)


async def ask(service: Service, name: str, caller: Principal | None = None, /, **members: object) -> Any:  # noqa: ANN401 - whichever response
    """Call one of the agent's own operations."""
    return await service.call(ADMINISTRATION[name], caller, **members)


async def made(service: Service, principal_arn: str = ANN) -> CreateAccessKeyResponse:
    """Make an access key."""
    key: CreateAccessKeyResponse = await ask(service, "CreateAccessKey", principal_arn=principal_arn)
    return key


async def begun(service: Service, **members: object) -> CreateSessionResponse:
    """Make a session of the role."""
    known = {"principal_arn": ROLE, "role_session_name": "nightly"}
    session: CreateSessionResponse = await ask(service, "CreateSession", **known | members)
    return session


async def test_an_access_key_is_shown_once_and_kept_wrapped(service: Service) -> None:
    """The secret is in the answer and nowhere else: not in the record, the store's files, or any repr."""
    key = await made(service)
    assert (key.access_key_id[:4], len(key.access_key_id), len(key.secret_access_key)) == ("AKIA", 20, 40)
    assert (key.principal_arn, key.status, key.create_date) == (ANN, "Active", service.clock())
    assert key.secret_access_key not in repr(key)
    record = service.kms.store.access_key(key.access_key_id)
    assert record is not None
    secret = service.kms.barrier.unwrap_secret(record.access_key_id, record.wrapped_secret)
    assert secret.decode() == key.secret_access_key
    for path in service.directory.rglob("*"):
        if path.is_file():
            assert key.secret_access_key.encode() not in path.read_bytes(), path
    told = service.records()[-1]
    assert told["requestParameters"] == {"principalArn": ANN}
    assert told["responseElements"]["accessKeyId"] == key.access_key_id


async def test_two_keys_at_most(service: Service) -> None:
    """As in IAM a user has two keys at most, disabled ones counted; another user's do not matter."""
    keys = [await made(service) for _ in range(KEYS_PER_PRINCIPAL)]
    await ask(service, "UpdateAccessKey", access_key_id=keys[0].access_key_id, status="Inactive")
    await begun(service, principal_arn=ANN, role_session_name=None)
    with pytest.raises(LimitExceededException, match="AccessKeysPerUser: 2"):
        await made(service)
    await made(service, f"arn:aws:iam::{ACCOUNT}:root")
    await ask(service, "DeleteAccessKey", access_key_id=keys[0].access_key_id)
    await made(service)


async def test_keys_are_listed_switched_and_deleted(service: Service) -> None:
    """Every key is listed, page by page, or those of one principal; its status is what was set last."""
    ids = sorted([(await made(service)).access_key_id, (await begun(service)).access_key_id])
    await ask(service, "UpdateAccessKey", access_key_id=ids[0], status=AccessKeyStatus.INACTIVE)
    first = await ask(service, "ListAccessKeys", limit=1)
    assert ([key.access_key_id for key in first.access_keys], first.truncated) == (ids[:1], True)
    assert first.access_keys[0].status == "Inactive"
    second = await ask(service, "ListAccessKeys", limit=1, marker=first.next_marker)
    assert ([key.access_key_id for key in second.access_keys], second.truncated) == (ids[1:], False)
    with pytest.raises(InvalidMarkerException):
        await ask(service, "ListAccessKeys", principal_arn=ANN, marker=first.next_marker)
    for principal, expected in ((ANN, "AKIA"), (ROLE, "ASIA")):
        listed = (await ask(service, "ListAccessKeys", principal_arn=principal)).access_keys
        assert [key.access_key_id[:4] for key in listed] == [expected]
    await ask(service, "DeleteAccessKey", access_key_id=ids[0])
    for name, members in (("DeleteAccessKey", {}), ("UpdateAccessKey", {"status": "Active"})):
        with pytest.raises(NotFoundException, match=f"{ids[0]} cannot be found"):
            await ask(service, name, access_key_id=ids[0], **members)


async def test_only_those_may_whom_a_policy_allows(service: Service) -> None:
    """Administrators may; others need an identity policy for the action; other accounts may not at all."""
    key = await made(service)
    calls: dict[str, dict[str, object]] = {
        "CreateAccessKey": {"principal_arn": ANN},
        "ListAccessKeys": {},
        "UpdateAccessKey": {"access_key_id": key.access_key_id, "status": "Active"},
        "CreateSession": {"principal_arn": ROLE, "role_session_name": "nightly"},
        "DeleteAccessKey": {"access_key_id": key.access_key_id},
    }
    assert calls.keys() <= ADMINISTRATION.keys()
    alice = service.callers.alice
    for name, members in calls.items():
        for caller in (alice, service.callers.foreigner):
            with pytest.raises(AccessDeniedException, match=f"kms-agent:{name}"):
                await ask(service, name, caller, **members)
    for name, members in calls.items():
        service.allow(alice, {"Effect": "Allow", "Action": f"kms-agent:{name}", "Resource": "*"})
        await ask(service, name, alice, **members)


async def test_a_session_has_what_it_was_given(service: Service) -> None:
    """A session is of its role, with its tags and policy, until it ends by the agent's clock."""
    session = await begun(
        service,
        duration_seconds=900,
        tags=(Tag(tag_key="team", tag_value="storage"), Tag(tag_key="a", tag_value="")),
        session_policy=POLICY,
    )
    assert (session.access_key_id[:4], session.principal_arn) == ("ASIA", SESSION)
    assert session.expiration == service.clock() + 900
    assert session.session_token not in repr(session)
    record = service.kms.store.access_key(session.access_key_id)
    assert record is not None
    assert key_principal(record, source_ip="192.0.2.1", secure_transport=False) == Principal(
        SESSION,
        ACCOUNT,
        "backup:nightly",
        kind="AssumedRole",
        role_arn=ROLE,
        tags={"a": "", "team": "storage"},
        session_policies=(POLICY,),
        access_key_id=session.access_key_id,
        source_ip="192.0.2.1",
        secure_transport=False,
    )
    check_session(record, session.session_token, service.clock())
    service.clock.advance(seconds=899.9)
    check_session(record, session.session_token, service.clock())
    service.clock.advance(seconds=0.1)
    with pytest.raises(ExpiredTokenException, match="The security token included in the request is expired"):
        check_session(record, session.session_token, service.clock())
    with pytest.raises(UnrecognizedClientException):
        check_session(record, "another", service.clock())
    assert session.session_token not in json.dumps(service.records())


async def test_a_user_and_the_root_can_have_sessions_too(service: Service) -> None:
    """The session of a user is the user, that of the root the account, for an hour unless told otherwise."""
    for arn, kind in ((ANN, "User"), (f"arn:aws:iam::{ACCOUNT}:root", "Account")):
        session = await begun(service, principal_arn=arn, role_session_name=None)
        assert (session.principal_arn, session.expiration) == (arn, service.clock() + 3600)
        record = service.kms.store.access_key(session.access_key_id)
        assert record is not None
        principal = key_principal(record, source_ip="::1", secure_transport=True)
        assert (principal.arn, principal.kind) == (arn, kind)
        assert principal.administrator is (kind == "Account")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"role_session_name": None}, ValidationException),
        ({"principal_arn": ANN}, ValidationException),
        ({"role_session_name": "a b"}, ValidationException),
        ({"duration_seconds": 899}, ValidationException),
        ({"duration_seconds": 43201}, ValidationException),
        ({"principal_arn": f"arn:aws:iam::{ACCOUNT}:role/*"}, ValidationException),
        ({"principal_arn": f"arn:aws:iam::{ACCOUNT}:group/backup"}, ValidationException),
        ({"tags": (Tag(tag_key="aws:a", tag_value=""),)}, TagException),
        ({"tags": (Tag(tag_key="uid", tag_value="0"),)}, TagException),
        ({"tags": (Tag(tag_key="a", tag_value=""), Tag(tag_key="a", tag_value="b"))}, TagException),
        ({"session_policy": "{}"}, MalformedPolicyDocumentException),
        ({"session_policy": POLICY.replace("kms:Decrypt", "kms:Decript")}, MalformedPolicyDocumentException),
    ],
)
async def test_a_session_that_means_nothing_is_refused(
    service: Service, members: dict[str, object], error: type[Exception]
) -> None:
    """Names, times, tags and policies that cannot be held to are refused."""
    with pytest.raises(error):
        await begun(service, **members)
    assert not service.kms.store.access_keys()


async def test_a_role_has_no_keys(service: Service) -> None:
    """Only users and the root have keys that last."""
    with pytest.raises(ValidationException, match="A role has no access keys"):
        await made(service, ROLE)


async def test_ended_sessions_are_forgotten(service: Service) -> None:
    """A day after its end a session leaves the store, when the next one is made."""
    old = await begun(service)
    service.clock.advance(seconds=3600 + 86_400)
    recent = await begun(service)
    assert service.kms.store.access_key(old.access_key_id) is not None
    service.clock.advance(seconds=1)
    newest = await begun(service)
    kept = [key.access_key_id for key in service.kms.store.access_keys()]
    assert kept == sorted([recent.access_key_id, newest.access_key_id])


async def test_open_sessions_are_limited(service: Service) -> None:
    """Nobody can fill the store with sessions of one role; ended ones make room."""
    session = await begun(service)
    record = service.kms.store.access_key(session.access_key_id)
    assert record is not None
    with service.kms.store.write() as transaction:
        for number in range(SESSIONS_PER_PRINCIPAL - 1):
            transaction.put(replace(record, access_key_id=f"ASIA{number:016}"))
    with pytest.raises(LimitExceededException):
        await begun(service)
    await begun(service, principal_arn=ANN, role_session_name=None)
    service.clock.advance(seconds=3600)
    await begun(service)
