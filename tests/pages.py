"""The documentation taken apart: blocks and tables of Markdown, sections and lists of mdoc man pages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def fenced_blocks(path: Path) -> list[tuple[str, str]]:
    """Return (language, text) of every fenced block of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every row of a page's tables, headings and rules included."""
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in text.splitlines()
        if line.lstrip().startswith("|")
    ]


def first_words(text: str) -> set[str]:
    """Return what the first cells of a page's tables set in code."""
    return {word for row in table_rows(text) for word in re.findall(r"`([^`]+)`", row[0])}


def section(page: Path, title: str) -> str:
    """Return the text of a section (.Sh) of a man page."""
    found = re.search(
        rf'^\.Sh "?{re.escape(title)}"?\n(.*?)(?=^\.Sh |\Z)', page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name} has no section {title}"
    return found[1]


def flags(line: str) -> set[str]:
    """Return the options that a line of mdoc names, as they are typed."""
    return {f"-{word}" for word in re.findall(r"\bFl (-?[a-zA-Z][a-z-]*)", line)}


def synopsis_flags(text: str) -> set[str]:
    """Return the options in the synopsis lines (.Op, .Nm) of a part of a man page."""
    return {flag for line in text.splitlines() if line.startswith((".Op ", ".Nm ")) for flag in flags(line)}


def listed_flags(text: str) -> set[str]:
    """Return the options that a list of a man page explains."""
    return {flag for line in text.splitlines() if line.startswith(".It Fl ") for flag in flags(line)}


def items(text: str) -> dict[str, str]:
    """Return the items (.It) of the lists in a part of a man page, with the line below each."""
    return dict(re.findall(r'^\.It (?:Li |Va |Cm )?"?([^"\n]+?)"?\n(.+)$', text, re.MULTILINE))
