"""Finding grants: the index says what looking at each grant says, and derived grants never widen."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.api.enums import GrantOperation
from agent.keys.grant import Context, Grant
from agent.keys.grantindex import GrantIndex, Match, Use
from agent.keys.grants import ProposedGrant, is_within
from agent.keys.principal import Principal
from agent.policy.principals import Reach

ACCOUNT: Final = "111122223333"
ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/backup"
ALICE: Final = f"arn:aws:iam::{ACCOUNT}:user/alice"
SESSION: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/night"
SERVICE: Final = "kmsfs.local.local"
SOURCES: Final = (None, f"arn:aws:kmsfs:local:{ACCOUNT}:volume/1", f"arn:aws:kmsfs:local:{ACCOUNT}:volume/2")
CALLERS: Final = (
    Principal(ALICE, ACCOUNT, "uid-1000", 1000),
    Principal(ALICE, ACCOUNT, "uid-1001", 1001),
    Principal(ALICE, ACCOUNT, "AIDAALICE"),
    Principal(SESSION, ACCOUNT, "backup:night", role_arn=ROLE, kind="AssumedRole"),
    Principal(ROOT, ACCOUNT, ACCOUNT, 0, "Account"),
    Principal(ALICE, ACCOUNT, "uid-1000", 1000, via_service=SERVICE),
    Principal("arn:aws:iam::999999999999:user/alice", "999999999999", "AIDAOTHER"),
)
OPERATIONS: Final = (
    GrantOperation.DECRYPT,
    GrantOperation.ENCRYPT,
    GrantOperation.DESCRIBE_KEY,
    GrantOperation.CREATE_GRANT,
    GrantOperation.RETIRE_GRANT,
)

contexts = st.dictionaries(st.sampled_from("abA"), st.sampled_from(["", "1", "bc"]), max_size=3).map(
    lambda pairs: tuple(sorted(pairs.items()))
)
no_context = st.none()
constraint_pairs = st.one_of(
    st.tuples(no_context, no_context), st.tuples(contexts, no_context), st.tuples(no_context, contexts)
)
operation_lists = st.lists(st.sampled_from(OPERATIONS), min_size=1, unique=True).map(
    lambda operations: tuple(sorted(operations))
)
terms = st.builds(
    lambda operations, pair, source: ProposedGrant(operations, *pair, source),
    operation_lists,
    constraint_pairs,
    st.sampled_from(SOURCES),
)
holders = st.sampled_from(
    (
        (ALICE, "", None),
        (ALICE, "uid-1000", None),
        (ROLE, "", None),
        (SESSION, "", None),
        (ROOT, "", None),
        (None, "", SERVICE),
    )
)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """Any grant on one key."""
    granted, (grantee, grantee_id, service) = draw(terms), draw(holders)
    return Grant(
        grant_id=sha256(b"%d" % draw(st.integers(0, 40))).hexdigest(),
        key_id="key",
        region="local",
        creation_date=0.0,
        issuing_account=ACCOUNT,
        operations=granted.operations,
        grantee_principal=grantee,
        grantee_id=grantee_id,
        grantee_service_principal=service,
        context_equals=granted.context_equals,
        context_subset=granted.context_subset,
        source_arn=granted.source_arn,
    )


@st.composite
def uses(draw: st.DrawFn) -> Use:
    """Any request that a grant could permit."""
    operation = draw(st.sampled_from(OPERATIONS))
    return Use(
        operation,
        None if operation is GrantOperation.DESCRIBE_KEY else draw(contexts),
        draw(st.sampled_from(SOURCES)),
        draw(terms) if operation is GrantOperation.CREATE_GRANT else None,
    )


callers = st.sampled_from(CALLERS)


def in_order(held: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return grants as a store has them: one for each id, in the order of ids."""
    by_id = {grant.grant_id: grant for grant in held}
    return tuple(by_id[grant_id] for grant_id in sorted(by_id))


def reach(grant: Grant, caller: Principal) -> Reach:
    """Say how closely a grant names a caller, by the words of the documentation."""
    if grant.grantee_service_principal is not None:
        return Reach.CALLER if caller.via_service == grant.grantee_service_principal else Reach.NOBODY
    if grant.grantee_principal == f"arn:aws:iam::{caller.account_id}:root":
        return Reach.ACCOUNT
    if grant.grantee_principal == caller.arn:
        known = grant.grantee_id and caller.uid is not None
        return Reach.NOBODY if known and grant.grantee_id != f"uid-{caller.uid}" else Reach.CALLER
    return Reach.ROLE if caller.role_arn == grant.grantee_principal else Reach.NOBODY


def permits(grant: Grant, use: Use) -> bool:
    """Say whether a grant permits a request, by the words of the documentation."""
    if use.operation not in grant.operations or use.operation is GrantOperation.RETIRE_GRANT:
        return False
    if grant.source_arn not in {None, use.source_arn}:
        return False
    if use.operation is GrantOperation.CREATE_GRANT:
        return use.proposed is not None and is_within(use.proposed, grant)
    if use.context is None:
        return True
    given_context = set(use.context)
    if grant.context_equals is not None:
        return set(grant.context_equals) == given_context
    return set(grant.context_subset or ()) <= given_context


def looked_through(held: Iterable[Grant], caller: Principal, use: Use) -> Match | None:
    """Look at every grant."""
    found = [Match(grant, reach(grant, caller)) for grant in held if permits(grant, use)]
    found = [match for match in found if match.reach]
    return min(found, key=lambda match: (-match.reach, match.grant.grant_id), default=None)


@given(st.lists(grants(), max_size=30), callers, uses())
def test_the_index_finds_what_looking_finds(held: list[Grant], caller: Principal, use: Use) -> None:
    """For any grants and request the index gives the grant that names the caller best, or none."""
    ordered = in_order(held)
    assert GrantIndex(ordered).matching(caller, use) == looked_through(ordered, caller, use)


@given(st.lists(grants(), max_size=5), callers, uses())
def test_a_grant_never_permits_what_it_excludes(held: list[Grant], caller: Principal, use: Use) -> None:
    """What is found lists the operation, meets the context and the source, and is made out to the caller."""
    match = GrantIndex(in_order(held)).matching(caller, use)
    if match is None:
        return
    grant = match.grant
    assert use.operation in grant.operations
    assert grant.source_arn in {None, use.source_arn}
    assert {grant.grantee_principal, grant.grantee_service_principal} & {
        *(caller.arn, caller.role_arn, caller.via_service, f"arn:aws:iam::{caller.account_id}:root")
    } - {None}
    if use.context is not None and use.operation is not GrantOperation.CREATE_GRANT:
        assert grant.context_equals in {None, use.context}
        assert set(grant.context_subset or ()) <= set(use.context)


@given(terms, terms, uses())
def test_a_derived_grant_never_widens(parent: ProposedGrant, derived: ProposedGrant, use: Use) -> None:
    """Whatever a grant within another permits, the other permits, too: uses and further grants alike."""
    if not is_within(derived, parent):
        return
    wide, narrow = (
        Grant(
            grant_id=name * 64,
            key_id="key",
            region="local",
            creation_date=0.0,
            issuing_account=ACCOUNT,
            operations=each.operations,
            grantee_principal=ALICE,
            context_equals=each.context_equals,
            context_subset=each.context_subset,
            source_arn=each.source_arn,
        )
        for name, each in (("a", parent), ("b", derived))
    )
    if GrantIndex((narrow,)).matching(CALLERS[0], use) is not None:
        assert GrantIndex((wide,)).matching(CALLERS[0], use) is not None


@given(terms)
def test_a_grant_is_within_itself(each: ProposedGrant) -> None:
    """The same grant can be passed on."""
    assert is_within(each, each)


class ChangingGrants(RuleBasedStateMachine):
    """A key whose grants come and go, with the index made from the one before each time."""

    def __init__(self) -> None:
        super().__init__()
        self.held: tuple[Grant, ...] = ()
        self.index = GrantIndex(())

    @rule(come=st.lists(grants(), min_size=1, max_size=4))
    def add(self, come: list[Grant]) -> None:
        """Some are made; one with a known id takes the place of the other."""
        self.held = in_order(chain(self.held, come))
        for grant in come:
            self.index = self.index.put(grant)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Some end."""
        gone = data.draw(st.sets(st.integers(0, max(len(self.held) - 1, 0))))
        for place in sorted(gone):
            if place < len(self.held):
                self.index = self.index.without(self.held[place].grant_id)
        self.held = tuple(grant for place, grant in enumerate(self.held) if place not in gone)

    @rule(caller=callers, use=uses(), come=grants())
    def ask(self, caller: Principal, use: Use, come: Grant) -> None:
        """The index answers as if it had been made anew, and stays as it is whatever is made of it."""
        expected = looked_through(self.held, caller, use)
        assert self.index.matching(caller, use) == expected
        first = self.held[0].grant_id if self.held else ""
        changed = self.index.put(come).without(first)
        assert tuple(self.index.grants) == self.held
        assert self.index.matching(caller, use) == expected
        left = [grant for grant in in_order([*self.held, come]) if grant.grant_id != first]
        assert changed.matching(caller, use) == looked_through(left, caller, use)

    @rule()
    def ask_first(self) -> None:
        """From now on, changes keep what is filed up to date; before, nothing was filed."""
        self.index.matching(CALLERS[0], Use(GrantOperation.DECRYPT, ()))

    @invariant()
    def holds_all(self) -> None:
        """An index made from another has all grants, and nothing else."""
        assert tuple(self.index.grants) == self.held


TestChangingGrants = ChangingGrants.TestCase


def test_many_grants_with_one_constraint_each() -> None:
    """Of 2,000 grants to one grantee, each for a context of its own, each is found by its context."""
    first = Grant("0" * 64, "key", "local", 0.0, ACCOUNT, (GrantOperation.DECRYPT,), grantee_principal=ALICE)
    held = []
    for number in range(2000):
        context: Context = (("volume", str(number)),)
        constraint = "context_equals" if number % 2 else "context_subset"
        held.append(replace(first, grant_id=f"{number:064x}", **{constraint: context}))
    index = GrantIndex(tuple(held))
    for number in range(2000):
        use = Use(GrantOperation.DECRYPT, (("volume", str(number)),))
        assert index.matching(CALLERS[0], use) == (held[number], Reach.CALLER)
    assert index.matching(CALLERS[0], Use(GrantOperation.DECRYPT, (("volume", "2000"),))) is None
