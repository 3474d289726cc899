"""Owns directories' default encryption: giving it, showing it, and the policies that a volume has for it.

What is created in a directory follows the directory's policy; a file keeps the one that it was made under,
as an object in an S3 bucket does. Policies are only ever added. Knows neither mounts nor commands: `jobs` has
the form in which both run this.
"""

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from os import fsdecode, fsencode
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from kmsfs import backing, customerkeys, datakeys, kms, paths, visiting, volume
from kmsfs.core import Core
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.errors import CorruptRecordError, KeyUnavailableError, VolumeError
from kmsfs.inodes import Directory
from kmsfs.jobs import Job, Progress, Step, called, patiently
from kmsfs.keyring import PolicyKeys
from kmsfs.openvolume import OpenVolume
from kmsfs.patience import Patience
from kmsfs.subtrees import GONE, below
from kmsfs.visiting import Refusal
from kmsfs.volume import Policy, VolumeDescription

_MAX_REFUSED: Final = 100
_TURN_SECONDS: Final = 0.1


class SetPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory is to have other default encryption; what is not said stays as it is there.

    Attributes:
        path: from the volume's root, in plain; bytes that are no UTF-8 as surrogates.
        key: KMS key: key id, key ARN, alias name or alias ARN.
        mode: where data keys come from.
        chunk_shift: files have chunks of 2**chunk_shift bytes.
        customer_key: 32 bytes, in base64 on the wire; of mode customer alone, and otherwise not looked at.
    """

    path: str
    key: str | None = None
    mode: Literal["bucket", "direct", "customer"] | None = None
    chunk_shift: Annotated[int, msgspec.Meta(ge=12, le=20)] | None = None
    customer_key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)] | None = None

    def __repr__(self) -> str:
        return f"SetPolicy({self.path!r})"


class ShowPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How is a file encrypted, or will those be that are made in a directory?"""

    path: str


class ListPolicies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which policies are there? With `directories`, also where in the tree below `path` they change."""

    path: str
    directories: bool = False


class _Wanted(NamedTuple):
    """A policy as it is wanted, whether there is one yet or not."""

    key_id: str
    mode: str
    chunk_shift: int
    customer_keys: CustomerKeys


def set_policy(core: Core, request: SetPolicy) -> Job:
    """Give a directory other default encryption, and those below that had the same as it.

    Directories that are damaged are left out, and told of; whatever is moved within the volume meanwhile may
    be missed. Ends with the policy, the number of directories changed, and those refused.

    Raises:
        KeyUnavailableError: the key cannot be had. Nothing has changed.
        VolumeError: what is asked for does not fit together.
        OSError: there is no such directory.
    """
    opened = core.volume
    with paths.reached(core, fsencode(request.path)) as entry:
        top = core.inodes.directory(entry.nodeid)
        # One at a time: the next finds the policy that this one adds, its keys at hand.
        while not (yield from called(partial(opened.live.turn.acquire, timeout=_TURN_SECONDS))):
            # The one before may need the thread.
            pass
        try:
            old = core.directories.policy(top)
            wanted = _wanted(request, _policy(opened.description, old))
            policy, keys = yield from called(partial(_secured, opened, wanted))
            if keys is not None:
                opened.keyring.put(keys)
                core.adopt_policies()
            changed, refused = yield from _give(core, top, old, policy.index)
            yield from called(partial(backing.sync_filesystem, opened.root_fd))
        finally:
            opened.live.turn.release()
    told = [[fsdecode(each.plain or each.stored), each.reason] for each in refused[:_MAX_REFUSED]]
    return {**_as_json(opened, policy), "directories": changed, "refused": told}


def show_policy(core: Core, request: ShowPolicy) -> Job:
    """Tell how a file is encrypted, or how those will be that are made in a directory.

    Raises:
        OSError: there is no such entry, or ENODATA where it is neither file nor directory.
    """
    with paths.reached(core, fsencode(request.path)) as entry:
        found = yield from patiently(partial(core.xattrs.encryption, entry.nodeid))
        is_directory = isinstance(core.inodes[entry.nodeid], Directory)
    reason = core.volume.keyring.reasons().get(found.policy)
    return {"type": "directory" if is_directory else "file", **found.as_json(), "unavailable": reason}


def list_policies(core: Core, request: ListPolicies) -> Job:
    """Tell the policies of a volume, and as progress the directories that have another than the one above."""
    if request.directories:
        with paths.reached(core, fsencode(request.path)) as entry:
            top = core.inodes.directory(entry.nodeid)
            yield _place(core, top)
            for directory in below(core, top):
                if directory is None:
                    yield None
                    continue
                try:
                    if core.directories.policy(directory) != core.directories.policy(_parent(directory)):
                        yield _place(core, directory)
                except CorruptRecordError as error:
                    refusal = visiting.refusal(core, directory.parent, directory.stored, error)
                    yield {"directory": fsdecode(refusal.plain or refusal.stored), "refused": str(error)}
                except OSError as error:
                    if error.errno not in GONE:
                        raise
    return {"policies": report(core.volume)}


def report(opened: OpenVolume) -> list[dict[str, object]]:
    """Return what there is to tell of the policies of an open volume, as JSON can hold it."""
    return [_as_json(opened, policy) for policy in opened.description.policies]


def _give(core: Core, top: Directory, old: int, new: int) -> Generator[Step, None, tuple[int, list[Refusal]]]:
    """Give a directory, and those below with the same policy, another one; return how many, and refusals.

    The directory itself comes last, so that the same again goes on with what was cut short; and then those
    that were made meanwhile.
    """
    changed, refused = 0, list[Refusal]()
    while new != old:
        refused.clear()
        for directory in below(core, top):
            if directory is None:
                yield {"directories": changed}
                continue
            try:
                if core.directories.policy(directory) == old:
                    core.directories.set_policy(directory, new)
                    changed += 1
            except (CorruptRecordError, OSError) as error:
                if not isinstance(error, OSError) or error.errno not in GONE:
                    refused.append(visiting.refusal(core, directory.parent, directory.stored, error))
        if top.policy == new:
            break
        core.directories.set_policy(top, new)
        changed += 1
    return changed, refused


def _wanted(request: SetPolicy, now: Policy) -> _Wanted:
    """Return what a request wants of a directory that has the policy `now`."""
    mode, key_id = request.mode or now.mode, request.key or now.key_arn
    chunk_shift = request.chunk_shift or now.chunk_shift
    if mode == volume.CUSTOMER:
        if request.key is not None:
            raise VolumeError("in mode customer no KMS key is used: leave out --key, or name another mode")
        if request.customer_key is None:
            raise VolumeError("give the customer's key with --customer-key-file FILE or --customer-key-fd N")
        return _Wanted("", mode, chunk_shift, CustomerKeys((request.customer_key,)))
    if not key_id:
        raise VolumeError("the directory has a customer's key now: name the KMS key with --key")
    return _Wanted(key_id, mode, chunk_shift, NO_CUSTOMER_KEYS)


def _secured(opened: OpenVolume, wanted: _Wanted) -> tuple[Policy, PolicyKeys | None]:
    """Return the volume's policy that is as wanted, from now on in the durable description, and its keys.

    No keys where the keyring has them. Runs in a worker thread, where it may wait.
    """
    fetched: list[PolicyKeys] = []
    found: list[Policy] = []

    def edit(description: VolumeDescription) -> VolumeDescription:
        policy = _named(opened, description, wanted)
        found.append(policy)
        is_new = policy.index == len(description.policies)
        # One of mode direct asks whenever it is used.
        if not is_new and (policy.mode == volume.DIRECT or policy.index not in opened.keyring.reasons()):
            return description
        given, patience = wanted.customer_keys, Patience()
        keys, made = datakeys.fetch_policy(_agent(opened), description, policy, given, patience)
        if keys.reason:
            raise KeyUnavailableError(keys.reason)
        fetched.append(keys)
        if not is_new and made is None:
            return description
        policies = (*description.policies, policy) if is_new else description.policies
        entries = description.bucket_keys if made is None else (*description.bucket_keys, made)
        return replace(description, policies=policies, bucket_keys=entries)

    opened.live.change(edit)
    return found[0], fetched[0] if fetched else None


def _named(opened: OpenVolume, description: VolumeDescription, wanted: _Wanted) -> Policy:
    """Return the policy of a description that is as wanted, or the one to add to it."""
    index, volume_id = len(description.policies), description.volume_id
    if index >= volume.POLICY_INDEX_MAX:
        raise VolumeError("the volume has as many policies as it can have")
    alike = [
        each
        for each in description.policies
        if (each.mode, each.chunk_shift) == (wanted.mode, wanted.chunk_shift)
    ]
    if wanted.mode == volume.CUSTOMER:
        known = (each for each in alike if wanted.customer_keys.find(each, volume_id) is not None)
        check = customerkeys.new_check(wanted.customer_keys.keys[0], volume_id)
        return next(known, Policy(index, "", wanted.mode, wanted.chunk_shift, check))
    known = (each for each in alike if each.key_arn == wanted.key_id)
    policy = next(known, None)
    if policy is None:
        # It tells which key that is, and that we may use it as we are going to.
        context = kms.policy_context(volume_id, index)
        key_arn = kms.generate_data_key(_agent(opened), wanted.key_id, context).key_arn
        policy = Policy(index, key_arn, wanted.mode, wanted.chunk_shift)
    return next((each for each in alike if each.key_arn == policy.key_arn), policy)


def _agent(opened: OpenVolume) -> kms.Kms:
    if opened.agent is None:
        raise AssertionError("a volume whose policies change was opened with an agent")
    return opened.agent


def _policy(description: VolumeDescription, index: int) -> Policy:
    if index >= len(description.policies):
        raise VolumeError(
            f"the volume has no policy {index}: volume.yaml is an older copy; restore a newer one"
        )
    return description.policies[index]


def _place(core: Core, directory: Directory) -> Progress:
    here = visiting.refusal(core, directory.parent, directory.stored, "")
    return {
        "directory": fsdecode(here.plain or here.stored),
        "policy": core.directories.policy(directory),
    }


def _parent(directory: Directory) -> Directory:
    if directory.parent is None:
        raise AssertionError("the root directory is below no other")
    return directory.parent


def _as_json(opened: OpenVolume, policy: Policy) -> dict[str, object]:
    description, keyring = opened.description, opened.keyring
    references = [entry.id for entry in description.bucket_keys if entry.policy == policy.index]
    missing = keyring.unavailable
    return {
        "policy": policy.index,
        "mode": policy.mode,
        "key_arn": policy.key_arn or None,
        "chunk_size_bytes": 1 << policy.chunk_shift,
        "bucket_keys": len(references),
        "unavailable": keyring.reasons().get(policy.index),
        "bucket_keys_unavailable": {key.hex(): missing[key] for key in references if key in missing},
    }
