"""Pagination, apart from what is listed."""

from hypothesis import given
from hypothesis import strategies as st

from agent.operations.pages import page

NAMES = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=12).map(sorted)


@given(names=NAMES, limit=st.integers(1, 5), listing=st.text(max_size=5))
def test_pages_put_together_are_the_listing(names: list[str], limit: int, listing: str) -> None:
    """Whatever the page size, every item comes once and in order, and only the last page may be short."""
    seen: list[str] = []
    marker = None
    for _ in range(len(names) + 1):
        chosen, marker = page(names, str, limit, marker, listing)
        seen += chosen
        if marker is None:
            break
        assert len(chosen) == limit
        assert marker.isascii()
        assert len(marker) <= 1024
    assert seen == names


@given(names=NAMES.filter(lambda names: len(names) > 1), gone=st.data())
def test_a_page_begins_behind_what_was_seen(names: list[str], gone: st.DataObject) -> None:
    """Items may come and go between two pages: what was sent is not sent again."""
    first, marker = page(names, str, 1, None, "listing")
    kept = [name for name in names if gone.draw(st.booleans())]
    rest, _ = page(kept, str, 100, marker, "listing")
    assert [*rest] == [name for name in kept if name > first[0]]
