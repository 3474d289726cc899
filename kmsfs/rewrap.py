"""Owns `kmsfs rewrap` from its first step to its last: a volume's own keys, then those of its files.

One job for a volume that is mounted and for one that is not: who runs it decides where its calls wait.
"""

import os
from collections.abc import Generator, Iterator
from dataclasses import asdict
from functools import partial

import msgspec

from kmsfs import keycounts, paths, rekeying, volume
from kmsfs.core import Core
from kmsfs.errors import VolumeError
from kmsfs.jobs import Call, Job, called
from kmsfs.keycounts import Counts, Stands
from kmsfs.kms import Kms
from kmsfs.rekeying import Rekeyed
from kmsfs.rewrapping import Tally, rewrap_files
from kmsfs.visiting import told
from kmsfs.volume import Policy, VolumeDescription
from kmsfs.wrapping import Mode, policy_reference


class Rewrap(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        policy: index of the policy whose keys to wrap anew; None for the volume's own where there is a new
            key, else for all.
        key_id: the new KMS key; None for the one that each policy has.
        with_files: whether to go through the headers of files too.
        path: of the volume's root; nothing less can be asked for.
    """

    policy: int | None = None
    key_id: str | None = None
    with_files: bool = False
    path: str = ""


def rewrap(core: Core, wish: Rewrap) -> Job:
    """Wrap keys anew: the volume's own, then those in the headers of files.

    Args:
        core: of the volume, open for writing.
        wish: what is asked for.

    Returns:
        `rewrapped_keys` and `new_keys`, counts of the volume's own, `refused_policies` with the reasons, and
        `files`, a `rewrapping.Tally`, or None.

    Raises:
        VolumeError: it cannot be done to this policy, or to a part of the volume.
        KeyUnavailableError: the KMS refuses; the volume's own keys are as they were.
        AgentError: it cannot be asked.
        OSError: the store fails as a whole.
    """
    if paths.components(os.fsencode(wish.path)):
        raise VolumeError("keys are wrapped anew for a whole volume: name its directory or its mount point")
    service = core.volume.agent
    policies = rekeying.chosen(core.volume.description, wish.policy, wish.key_id)
    if wish.key_id is not None:
        yield from _require_no_direct(core, policies)
    rewrapped, made, refused = 0, 0, dict[str, str]()
    if service is not None and policies:
        rekeyed = yield from _rekey(core, service, wish)
        rewrapped, made = rekeyed.rewrapped, rekeyed.made
        refused = {str(index): reason for index, reason in rekeyed.refused.items()}
    files = None
    if wish.with_files:
        tally = Tally()
        yield from told(rewrap_files(core, tally), lambda: {"done": tally.seen, "total": tally.total})
        files = asdict(tally)
    return {"rewrapped_keys": rewrapped, "new_keys": made, "refused_policies": refused, "files": files}


def _rekey(core: Core, service: Kms, wish: Rewrap) -> Generator[Call, None, Rekeyed]:
    done: list[Rekeyed] = []

    def edit(description: VolumeDescription) -> VolumeDescription:
        policies = rekeying.chosen(description, wish.policy, wish.key_id)
        done.append(rekeying.rekey(service, description, core.volume.keys, policies, wish.key_id))
        return done[-1].description

    yield from called(partial(core.volume.live.change, edit))
    # Only now: a file under a key that the description does not hold is lost in a crash.
    for keys in done[-1].keys:
        core.volume.keyring.put(keys)
    return done[-1]


def _require_no_direct(core: Core, policies: tuple[Policy, ...]) -> Iterator[None]:
    """Refuse another KMS key to files whose headers hold a ciphertext of the one that there is."""
    wanted = [policy for policy in policies if policy.mode == volume.DIRECT]
    if not wanted:
        return
    counts = Counts()
    yield from keycounts.count(core.volume.root_fd, counts)
    for policy in wanted:
        number = counts.files[Stands(Mode.DIRECT, policy_reference(policy.index))]
        if number or not counts.is_complete:
            raise VolumeError(
                f"policy {policy.index} is of mode direct, and {number or 'an unknown number of'} files hold "
                "ciphertexts of its KMS key; give their directories a policy with the new key, with kmsfs "
                "policy set PATH --key KEY --mode direct, run kmsfs rewrap --files, then do this again"
            )
