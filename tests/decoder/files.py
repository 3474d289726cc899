"""Regular files: format.md, section 8."""

import hmac
import struct
from dataclasses import dataclass

from decoder.description import Description
from decoder.keys import Keys, read_data_key
from decoder.primitives import expand, xaes_open
from decoder.refusal import Refused

HEADER_SIZE = 512
RECORD_OVERHEAD = 40


@dataclass(frozen=True)
class Header:
    """A header that authenticates."""

    file_id: bytes
    chunk_size: int
    content_key: bytes
    plain_size: int
    sparse: bool
    multi: bool
    bindings: tuple[bytes, ...]


def read_header(raw: bytes, description: Description, keys: Keys) -> Header:
    """Open the header at the beginning of a backing file."""
    if len(raw) < HEADER_SIZE:
        raise Refused("shorter than a header")
    if raw[0:6] != bytes.fromhex("894b4d534653"):
        raise Refused("wrong magic")
    fixed = struct.unpack(">HBBBBHH", raw[6:16])
    if fixed[3] not in description.chunk_shifts or fixed != (1, 1, fixed[2], fixed[3], 1, fixed[5], 0):
        raise Refused("a field of the header has a value that the format does not have")
    volume_id, file_id, commitment = raw[16:32], raw[32:48], raw[64:96]
    if volume_id != description.volume_id:
        raise Refused("of another volume")
    data_key = read_data_key(raw, description, keys)
    expected = expand(data_key, b"kmsfs commitment 1" + volume_id + file_id, 32)
    if not hmac.compare_digest(expected, commitment):
        raise Refused("wrong commitment")
    content_key = expand(data_key, b"kmsfs content 1" + volume_id + file_id, 32)
    block = xaes_open(content_key, raw[376:400], raw[0:376], raw[400:512])
    plain_size, flags, bindings = struct.unpack(">QHH", block[:12])
    if plain_size > 1 << 62 or flags > 3 or bindings > 2:
        raise Refused("a field of the sealed block has a value that the format does not have")
    if any(block[12:16]) or any(block[16 + 16 * bindings :]):
        raise Refused("reserved bytes of the sealed block are not zero")
    return Header(
        file_id,
        1 << fixed[3],
        content_key,
        plain_size,
        sparse=bool(flags & 1),
        multi=bool(flags & 2),
        bindings=(block[16:32], block[32:48])[:bindings],
    )


def read_content(raw: bytes, header: Header) -> bytes:
    """Return the plaintext of a whole backing file."""
    chunk_size = header.chunk_size
    count = -(-header.plain_size // chunk_size)
    if len(raw) != HEADER_SIZE + header.plain_size + RECORD_OVERHEAD * count:
        raise Refused("the backing size is not the one that the plain size leads to")
    plain = bytearray()
    for index in range(count):
        length = min(chunk_size, header.plain_size - index * chunk_size)
        start = HEADER_SIZE + index * (chunk_size + RECORD_OVERHEAD)
        record = raw[start : start + length + RECORD_OVERHEAD]
        if header.sparse and not any(record):
            plain += bytes(length)
            continue
        ad = b"kmsfs chunk 1" + header.file_id + struct.pack(">Q", index)
        plain += xaes_open(header.content_key, record[:24], ad, record[24:])
    return bytes(plain)
