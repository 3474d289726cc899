"""Owns the buffers between the store and the codec. Knows nothing of what is in them."""

from kmsfs.geometry import RECORD_OVERHEAD


class Scratch:
    """The buffers that every read and write of one mount goes through, one request at a time.

    What a read returns lies in `plain` until the next request: a handler answers before it awaits anything.
    """

    __slots__ = ("plain", "raw")

    def __init__(self) -> None:
        self.plain = memoryview(bytearray(1 << 20))
        self.raw = memoryview(bytearray((1 << 20) + RECORD_OVERHEAD * 258))

    def reserve(self, plain_bytes: int, raw_bytes: int) -> None:
        """Make room; buffers only grow, to the largest request seen."""
        if len(self.plain) < plain_bytes:
            self.plain = memoryview(bytearray(plain_bytes))
        if len(self.raw) < raw_bytes:
            self.raw = memoryview(bytearray(raw_bytes))
