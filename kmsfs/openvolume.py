"""Owns the value that stands for an open volume: keys in hand, lock held. `opening` builds it."""

from dataclasses import dataclass, field

from kmsfs.bindings import Bindings
from kmsfs.counters import Counters
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.keyring import Keyring
from kmsfs.kms import Kms
from kmsfs.livedescription import LiveDescription
from kmsfs.names import NameCipher
from kmsfs.records import RecordCipher
from kmsfs.volume import VolumeDescription, VolumeKeys


@dataclass(frozen=True, slots=True)
class OpenVolume:
    """Everything the filesystem core needs of a volume.

    Attributes:
        root_fd: descriptor of the ciphertext directory (O_RDONLY, O_DIRECTORY); whoever opened it closes it.
        live: the volume description as it is now, its MAC verified, and the way to change it.
        keys: subkeys of the volume key.
        names: seals and opens names.
        records: seals and opens directory records, symlink targets and extended attributes.
        keyring: what files' data keys are wrapped with.
        was_clean: False when the mount before did not end by unmounting; for people, since by now the volume
            is recovered, unless `read_only`.
        read_only: True when nothing on the backing store may change, recovery included.
        counters: what this mount counts.
        agent: for what has to be asked while the volume is open, in worker threads only; None in tests.
        customer_keys: that the user gave.
        bindings: ties files and directories to their places; None where that is not to be looked at.
    """

    root_fd: int
    live: LiveDescription = field(repr=False)
    keys: VolumeKeys = field(repr=False)
    names: NameCipher = field(repr=False)
    records: RecordCipher = field(repr=False)
    keyring: Keyring = field(repr=False)
    was_clean: bool
    read_only: bool = False
    counters: Counters = field(default_factory=Counters)
    agent: Kms | None = field(default=None, repr=False)
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS
    bindings: Bindings | None = None

    @property
    def description(self) -> VolumeDescription:
        """The volume description as it is now."""
        return self.live.current
