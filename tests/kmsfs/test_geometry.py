"""The arithmetic between plain sizes and backing sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs.geometry import MAX_PLAIN_SIZE, RECORD_OVERHEAD, Geometry

SMALL = Geometry(512, 12)

# The table of docs/reference/format.md, "Sizes".
WORKED = {
    0: (0, 512),
    1: (1, 553),
    4095: (1, 4647),
    4096: (1, 4648),
    4097: (2, 4689),
    8192: (2, 8784),
    1_048_576: (256, 1_059_328),
    1_073_741_824: (262_144, 1_084_228_096),
}
WORKED_LARGE_CHUNKS = {
    1: (1, 553),
    65_536: (1, 66_088),
    65_537: (2, 66_129),
    1 << 30: (16_384, 1_074_397_696),
}

geometries = st.builds(Geometry, st.sampled_from([512, 1024]), st.integers(12, 20))
sizes = st.one_of(st.integers(0, 1 << 23), st.integers(0, MAX_PLAIN_SIZE))


@pytest.mark.parametrize(("plain", "worked"), WORKED.items())
def test_worked_sizes(plain: int, worked: tuple[int, int]) -> None:
    """With 4 KiB chunks, sizes are those of the specification."""
    assert (SMALL.chunk_count(plain), SMALL.backing_size(plain)) == worked
    assert SMALL.plain_size(worked[1]) == plain


@pytest.mark.parametrize(("plain", "worked"), WORKED_LARGE_CHUNKS.items())
def test_worked_sizes_of_larger_chunks(plain: int, worked: tuple[int, int]) -> None:
    """With 64 KiB chunks, sizes follow the same rule."""
    geometry = Geometry(512, 16)
    assert (geometry.chunk_count(plain), geometry.backing_size(plain)) == worked
    assert geometry.plain_size(worked[1]) == plain


@given(geometries, sizes)
def test_backing_size_stands_for_one_plain_size(geometry: Geometry, plain: int) -> None:
    """The plain size comes back from the backing size, and one byte more is always a larger file."""
    backing = geometry.backing_size(plain)
    assert geometry.plain_size(backing) == plain
    assert geometry.backing_size(plain + 1) > backing
    assert backing == geometry.header_size + plain + RECORD_OVERHEAD * -(-plain // geometry.chunk_size)


@given(geometries, st.integers(0, 1 << 63))
def test_impossible_sizes_are_rounded_down(geometry: Geometry, backing: int) -> None:
    """A backing size that no file has stands for the largest file that fits into it, or an empty one."""
    plain = geometry.plain_size(backing)
    assert plain == 0 or geometry.backing_size(plain) <= backing
    assert geometry.backing_size(plain + 1) > backing
    assert geometry.plain_size(backing + 1) >= plain


@pytest.mark.parametrize("torn", [0, 1, 511])
def test_no_header_means_no_content(torn: int) -> None:
    """A backing file shorter than its header stands for nothing."""
    assert SMALL.plain_size(torn) == 0


@pytest.mark.parametrize("rest", range(1, RECORD_OVERHEAD + 1))
def test_a_record_without_ciphertext_means_nothing(rest: int) -> None:
    """One to forty bytes after the last whole record hold no plaintext."""
    assert SMALL.plain_size(4648 + rest) == 4096


@given(geometries, sizes)
def test_chunks_cover_the_file(geometry: Geometry, plain: int) -> None:
    """Whole chunks, one shorter last one, nothing after it; each begins where the one before it ends."""
    count = geometry.chunk_count(plain)
    last = geometry.chunk_length(count - 1, plain) if count else 0
    assert plain == max(count - 1, 0) * geometry.chunk_size + last
    assert geometry.chunk_length(count, plain) == 0
    assert geometry.backing_offset(0) == geometry.header_size
    assert geometry.backing_offset(count + 1) - geometry.backing_offset(count) == geometry.record_size
    if count:
        end = geometry.backing_offset(count - 1) + last + RECORD_OVERHEAD
        assert end == geometry.backing_size(plain)
