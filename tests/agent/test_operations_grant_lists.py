"""Listing grants, through the pipeline: pages, filters, and markers that belong to one listing."""

from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation
from agent.api.errors import (
    AccessDeniedException,
    InvalidArnException,
    InvalidGrantIdException,
    InvalidMarkerException,
    ServiceError,
    ValidationException,
)
from services import ACCOUNT, Service

USER: Final = f"arn:aws:iam::{ACCOUNT}:user/"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/backup"
SERVICE: Final = "kmsfs.local.local"


async def grant(service: Service, key_id: str, **members: object) -> str:
    """Make a grant, to bob unless somebody else is said, and return its id."""
    members = {"grantee_principal": USER + "bob", "operations": (GrantOperation.DESCRIBE_KEY,)} | members
    answer = await service.call("CreateGrant", key_id=key_id, **members)
    grant_id: str = answer.grant_id
    return grant_id


async def pages(service: Service, operation: str, **members: object) -> list[list[str]]:
    """Return the grant ids of a listing, page by page."""
    found, marker = [], None
    while True:
        answer = await service.call(operation, marker=marker, **members)
        found.append([entry.grant_id for entry in answer.grants])
        assert answer.truncated is (answer.next_marker is not None)
        marker = answer.next_marker
        if marker is None:
            return found


async def test_pages(service: Service) -> None:
    """A listing is cut into pages of the size asked for, 50 by default, in the order of ids."""
    key_id = (await service.create_key()).key_id
    ids = sorted([await grant(service, key_id) for _ in range(51)])
    assert await pages(service, "ListGrants", key_id=key_id) == [ids[:50], ids[50:]]
    assert await pages(service, "ListGrants", key_id=key_id, limit=100) == [ids]
    assert await pages(service, "ListGrants", key_id=key_id, limit=51) == [ids]
    assert await pages(service, "ListGrants", key_id=key_id, limit=17) == [ids[:17], ids[17:34], ids[34:]]


async def test_a_page_follows_although_its_marker_s_grant_is_gone(service: Service) -> None:
    """Grants that end while they are listed are left out; no other is."""
    key_id = (await service.create_key()).key_id
    ids = sorted([await grant(service, key_id) for _ in range(4)])
    first = await service.call("ListGrants", key_id=key_id, limit=2)
    await service.call("RevokeGrant", key_id=key_id, grant_id=ids[1])
    rest = await service.call("ListGrants", key_id=key_id, limit=2, marker=first.next_marker)
    assert [entry.grant_id for entry in rest.grants] == ids[2:]


async def test_filters_of_a_key_s_grants(service: Service) -> None:
    """A key's grants can be listed by id and by grantee; ARNs must be equal to the letter."""
    key_id, other = (await service.create_key()).key_id, (await service.create_key()).key_id
    bobs = sorted([await grant(service, key_id) for _ in range(2)])
    role = await grant(service, key_id, grantee_principal=ROLE)
    await grant(service, other)
    for filters, expected in (
        ({}, sorted([*bobs, role])),
        ({"grantee_principal": USER + "bob"}, bobs),
        ({"grantee_principal": ROLE}, [role]),
        ({"grantee_principal": USER + "Bob"}, []),
        ({"grant_id": role}, [role]),
        ({"grant_id": role, "grantee_principal": USER + "bob"}, []),
        ({"grant_id": "0" * 64}, []),
        ({"grantee_service_principal": SERVICE}, []),
    ):
        assert await pages(service, "ListGrants", key_id=key_id, **filters) == [expected]


async def test_retirable_grants(service: Service) -> None:
    """The grants that a principal may retire are listed over all keys of the Region, and only those."""
    keys = sorted([(await service.create_key()).key_id for _ in range(3)])
    mine, services_own = [], []
    for key_id in keys:
        mine += sorted([await grant(service, key_id, retiring_principal=ROLE) for _ in range(2)])
        await grant(service, key_id, retiring_principal=USER + "alice")
        await grant(service, key_id)
        services_own.append(await grant(service, key_id, retiring_service_principal=SERVICE))
    listing = "ListRetirableGrants"
    assert await pages(service, listing, retiring_principal=ROLE) == [mine]
    assert await pages(service, listing, retiring_principal=ROLE, limit=4) == [mine[:4], mine[4:]]
    assert await pages(service, listing, retiring_service_principal=SERVICE) == [services_own]
    assert await pages(service, listing, retiring_principal=USER + "bob") == [[]]
    (entry, *_) = (await service.call(listing, retiring_principal=ROLE)).grants
    assert entry.key_id == service.kms.key_arn(keys[0])


async def test_a_marker_belongs_to_its_listing(service: Service) -> None:
    """A marker of another key, filter or operation, and what is none, is refused."""
    key_id, other = (await service.create_key()).key_id, (await service.create_key()).key_id
    for each in (key_id, key_id, other, other):
        await grant(service, each, retiring_principal=ROLE)
    marker = (await service.call("ListGrants", key_id=key_id, limit=1)).next_marker
    assert marker is not None
    for operation, members in (
        ("ListGrants", {"key_id": other, "marker": marker}),
        ("ListGrants", {"key_id": key_id, "grantee_principal": USER + "bob", "marker": marker}),
        ("ListRetirableGrants", {"retiring_principal": ROLE, "marker": marker}),
        ("ListGrants", {"key_id": key_id, "marker": "x"}),
        ("ListGrants", {"key_id": key_id, "marker": marker[:-1]}),
    ):
        with pytest.raises(InvalidMarkerException):
            await service.call(operation, **members)


@pytest.mark.parametrize(
    ("operation", "members", "error"),
    [
        ("ListGrants", {"limit": 101}, ValidationException),
        ("ListGrants", {"limit": 0}, ValidationException),
        ("ListGrants", {"grant_id": "x"}, InvalidGrantIdException),
        ("ListGrants", {"grantee_principal": "bob"}, InvalidArnException),
        (
            "ListGrants",
            {"grantee_principal": ROLE, "grantee_service_principal": SERVICE},
            ValidationException,
        ),
        ("ListRetirableGrants", {}, ValidationException),
        ("ListRetirableGrants", {"retiring_principal": ROLE, "limit": 101}, ValidationException),
        ("ListRetirableGrants", {"retiring_principal": "bob"}, InvalidArnException),
        (
            "ListRetirableGrants",
            {"retiring_principal": ROLE, "retiring_service_principal": SERVICE},
            ValidationException,
        ),
    ],
)
async def test_filters_that_make_no_sense(
    service: Service, operation: str, members: dict[str, Any], error: type[ServiceError]
) -> None:
    """Page sizes beyond AWS's, names of nobody, and filters that exclude each other are refused."""
    if operation == "ListGrants":
        members = {"key_id": (await service.create_key()).key_id, **members}
    with pytest.raises(error):
        await service.call(operation, **members)


async def test_listing_needs_permission(service: Service) -> None:
    """A grantee may not list the key's grants, and who has no identity policy not those to be retired."""
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    await grant(service, key_id)
    for operation, members in (
        ("ListGrants", {"key_id": key_id}),
        ("ListRetirableGrants", {"retiring_principal": USER + "bob"}),
    ):
        with pytest.raises(AccessDeniedException):
            await service.call(operation, bob, **members)
