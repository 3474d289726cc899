"""Composition root of the commands that use a volume without mounting it: agent, volume, core, and their end.

A volume is opened here exactly as a mount opens it, lock and recovery included.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kmsfs import hardening, volumedir
from kmsfs.connect import connected
from kmsfs.core import Core
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.errors import KmsfsError
from kmsfs.opening import open_volume


@contextmanager
def opened(
    ciphertext: str,
    agent_url: str | None,
    *,
    read_only: bool,
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS,
) -> Iterator[Core]:
    """Open a volume until the body ends; in the body the agent is asked for data keys of mode direct alone.

    An error that a user can meet ends the volume's use in order. After any other, an interruption included,
    it counts as not unmounted cleanly, and the next opening for writing recovers it.

    Args:
        ciphertext: the ciphertext directory.
        agent_url: which agent; None for the default one.
        read_only: change nothing on disk, and share the volume with read-only mounts and other such openings.
        customer_keys: that the user gave.

    Raises:
        VolumeLockedError: it is mounted for writing, or `read_only` is not set and it is mounted.
        KmsfsError: the volume or its keys do not allow it.
        AgentError: no agent can be asked for the keys.
        OSError: the store fails.
    """
    hardening.harden()
    path = os.path.realpath(ciphertext)
    volumedir.require_volume(path)
    failure: OSError | KmsfsError | None = None
    with ExitStack() as stack:
        agent = stack.enter_context(connected(agent_url))
        volume = stack.enter_context(
            open_volume(path, agent, customer_keys=customer_keys, read_only=read_only)
        )
        core = Core(volume)
        try:
            yield core
        except (OSError, KmsfsError) as error:
            failure = error
        finally:
            core.close()
    if failure is not None:
        raise failure
