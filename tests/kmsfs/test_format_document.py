"""The tables of docs/reference/format.md add up, and the program agrees with what they work out."""

import re
from pathlib import Path

import pytest

from kmsfs import base64url
from kmsfs.geometry import Geometry
from kmsfs.names import SivNames

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "format.md").read_text()
DIR_ID = bytes(16)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below the header row that begins with `heading`, commas taken out."""
    lines = PAGE[PAGE.index(f"| {heading}") :].splitlines()
    table = lines[2 : next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.replace(",", "").strip("|").split("|")] for line in table]


@pytest.mark.parametrize("row", rows("plain size | chunks"), ids=lambda row: row[0])
def test_worked_sizes_of_files(row: list[str]) -> None:
    """Each backing size in the table follows from its plain size, and back."""
    plain, chunks, backing = map(int, row)
    geometry = Geometry(512, 12)
    assert geometry.backing_size(plain) == backing
    assert geometry.plain_size(backing) == plain
    assert geometry.chunk_count(plain) == chunks


@pytest.mark.parametrize("row", rows("plain name | sealed"), ids=lambda row: row[0])
def test_worked_sizes_of_names(row: list[str]) -> None:
    """Both ends of each range of names have the sizes in the table."""
    sealed, spelling = int(row[1]), int(row[2])
    assert base64url.encoded_size(sealed) == spelling
    stored_sizes = [int(size) for size in re.findall(r"\d+", row[3])]
    for size in re.findall(r"\d+", row[0]):
        stored = SivNames(bytes(64)).seal(DIR_ID, b"n" * int(size))
        assert [len(part) for part in (stored.name, stored.sidecar) if part is not None] == stored_sizes


LAYOUTS = {
    "offset | size | field |\n| ---: | ---: | --- |\n| 0 | 6": 512,
    "offset | size | field of the block": 96,
    "offset | size | field |\n| ---: | ---: | --- |\n| 0 | 1": 35,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_byte_tables_have_no_gaps(layout: str) -> None:
    """Each field begins where the one before it ends, and the last ends at the size of the whole."""
    end = 0
    for offset, size, *_ in rows(layout):
        assert int(offset) == end
        end += int(size)
    assert end == LAYOUTS[layout]
