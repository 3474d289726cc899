"""The documentation against the programs: commands, options, codes, settings, operations, limits, links."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import pytest

import agent.cli.exits as agent_exits
from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.authz import context
from agent.cli import kms_agent
from agent.config import Limits, _File, parse
from agent.crypto import blob
from agent.keys import rotation
from agent.operations import identity, policies
from agent.operations.table import HANDLERS
from agent.places import system_places
from agent.policy import parse as policy_parse
from agent.settings.listen import Listen, Tls
from agent.settings.principals import Match, PrincipalRule
from agent.settings.quotas import Quotas
from kmsfs import directories, inodes, names, options, records
from kmsfs.cli import kmsfs as kmsfs_group
from kmsfs.cli.codes import MEANINGS
from pages import (
    DOCS,
    ROOT,
    fenced_blocks,
    first_words,
    items,
    listed_flags,
    section,
    synopsis_flags,
    table_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


MAN = DOCS / "man"

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
MAN_PAGES = sorted(MAN.iterdir())


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command, all spellings, without --help."""
    return {
        spelling
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in parameter.opts
    }


def arguments_of(command: click.Command) -> list[str]:
    """Return the names under which a command's arguments are shown."""
    return [
        word
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        for word in re.findall(r"[A-Z]+", parameter.human_readable_name.upper())
    ]


def leaves(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


AGENT_COMMANDS = dict(leaves(kms_agent))
KMSFS_COMMANDS = dict(leaves(kmsfs_group))
# The commands of a group share a page.
KMSFS_PAGES = {name: MAN / f"kmsfs-{name.partition(' ')[0]}.1" for name in KMSFS_COMMANDS}


def agent_sections() -> dict[str, str]:
    """Return the parts of kms-agent(1) that stand for commands, by command."""
    return parts(MAN / "kms-agent.1")


def parts(page: Path) -> dict[str, str]:
    """Return the parts of a page that stand for commands, by command."""
    text = section(page, "COMMANDS")
    return dict(re.findall(r"^\.Ss ([^\n]+)\n(.*?)(?=^\.Ss |\Z)", text, re.DOTALL | re.MULTILINE))


def agent_meanings() -> dict[str, str]:
    """Return the exit statuses of kms-agent with their meanings, from the table that its code keeps."""
    assert agent_exits.__doc__
    meanings = {row[0]: row[1] for row in table_rows(agent_exits.__doc__) if row[0].isdecimal()}
    assert {int(code) for code in meanings} == {code.value for code in agent_exits.Exit}
    return meanings


def kmsfs_meanings() -> dict[str, str]:
    """Return the exit codes of kmsfs with their meanings."""
    return {str(code.value): meaning for code, meaning in MEANINGS.items()}


# Commands


@pytest.mark.parametrize("name", sorted(KMSFS_COMMANDS))
def test_kmsfs_page_has_the_commands_options(name: str) -> None:
    """Each kmsfs command has a page, and that page has its options and arguments, no others."""
    command, page = KMSFS_COMMANDS[name], KMSFS_PAGES[name]
    synopsis = parts(page)[name] if " " in name else section(page, "SYNOPSIS")
    assert synopsis_flags(synopsis) == {longest(spellings) for spellings in spellings_of(command)}
    on_this_page = [KMSFS_COMMANDS[other] for other in KMSFS_COMMANDS if KMSFS_PAGES[other] == page]
    expected = set().union(*map(options_of, on_this_page))
    assert listed_flags(section(page, "OPTIONS")) == expected | {"-h", "--help"}
    for argument in arguments_of(command):
        assert re.search(rf"\bAr (?:\w+ |\| )*{argument}\b", synopsis), argument


def spellings_of(command: click.Command) -> list[list[str]]:
    """Return the spellings of each option of a command."""
    return [parameter.opts for parameter in command.params if isinstance(parameter, click.Option)]


def longest(spellings: list[str]) -> str:
    """Return the spelling of an option that a synopsis shows."""
    return max(spellings, key=len)


def test_kmsfs_pages_are_those_of_the_commands() -> None:
    """No page describes a command that is not there, and kmsfs(1) names each one."""
    assert sorted(MAN.glob("kmsfs-*.1")) == sorted(set(KMSFS_PAGES.values()))
    named = {name.partition(" ")[0] for name in KMSFS_COMMANDS}
    assert items(section(MAN / "kmsfs.1", "COMMANDS")).keys() == named
    assert listed_flags(section(MAN / "kmsfs.1", "OPTIONS")) == options_of(kmsfs_group) | {"-h", "--help"}


def test_agent_page_has_every_command() -> None:
    """kms-agent(1) has a part for each command, and for nothing else."""
    assert agent_sections().keys() == set(AGENT_COMMANDS)


@pytest.mark.parametrize("name", sorted(AGENT_COMMANDS))
def test_agent_page_has_the_commands_options(name: str) -> None:
    """Each command's part of kms-agent(1) has its options and arguments, no others, and each is explained."""
    text, command = agent_sections()[name], AGENT_COMMANDS[name]
    assert synopsis_flags(text) == options_of(command)
    for argument in arguments_of(command):
        assert re.search(rf"\bAr (?:\w+ |\| )*{argument}\b", text), argument
    explained = listed_flags(text) | listed_flags(section(MAN / "kms-agent.1", "OPTIONS"))
    assert options_of(command) <= explained


def test_agent_page_explains_only_options_that_are_there() -> None:
    """Every option in a list of kms-agent(1) belongs to some command."""
    known = set().union(*map(options_of, AGENT_COMMANDS.values()), options_of(kms_agent))
    assert listed_flags((MAN / "kms-agent.1").read_text()) == known | {"-h", "--help"}


def test_command_reference_has_every_command() -> None:
    """The page of commands names each command of both programs, and no other."""
    cells = first_words((DOCS / "reference" / "commands.md").read_text())
    named = {" ".join(word for word in cell.split() if word.islower()) for cell in cells if " " in cell}
    programs = {"kms-agent": AGENT_COMMANDS, "kmsfs": KMSFS_COMMANDS}
    every = {f"{name} {command}" for name, commands in programs.items() for command in commands}
    assert {words for words in named if words.startswith(("kms-agent ", "kmsfs "))} == every


# Exit codes, settings, operations


def test_exit_codes_in_the_reference() -> None:
    """The reference has both tables of exit codes, word for word."""
    text = (DOCS / "reference" / "exit-codes.md").read_text()
    agents, _, filesystems = text.partition("## kmsfs")
    for part, meanings in ((agents, agent_meanings()), (filesystems, kmsfs_meanings())):
        assert {row[0]: row[1] for row in table_rows(part) if row[0].isdecimal()} == meanings


@pytest.mark.parametrize(
    ("page", "meanings"),
    [("kmsfs.1", kmsfs_meanings), ("kms-agent.1", agent_meanings)],
    ids=["kmsfs", "kms-agent"],
)
def test_exit_codes_in_the_main_pages(page: str, meanings: Callable[[], Mapping[str, str]]) -> None:
    """The main man pages have every exit code, word for word."""
    assert items(section(MAN / page, "EXIT STATUS")) == {
        code: f"{meaning[0].upper()}{meaning[1:]}." for code, meaning in meanings().items()
    }


@pytest.mark.parametrize("name", sorted(KMSFS_PAGES))
def test_exit_codes_in_the_commands_pages(name: str) -> None:
    """What a command's page says of an exit code is what the code means."""
    found = items(section(KMSFS_PAGES[name], "EXIT STATUS"))
    meanings = {code: f"{text[0].upper()}{text[1:]}." for code, text in kmsfs_meanings().items()}
    assert {"0", "1", "2"} <= found.keys()
    assert {code: text for code, text in meanings.items() if code in found} == found


def test_settings_are_documented() -> None:
    """Every setting of the agent stands in the reference and in kms-agent.yaml(5), and no other."""
    groups: dict[str, type[msgspec.Struct]] = {
        "limits": Limits,
        "quotas": Quotas,
        "listen": Listen,
        "listen.tls": Tls,
        "principals": PrincipalRule,
        "principals.match": Match,
    }
    nested = {f"{name}.{field}" for name, group in groups.items() for field in group.__struct_fields__}
    names = {*_File.__struct_fields__, *nested} - groups.keys()
    assert items(section(MAN / "kms-agent.yaml.5", "SETTINGS")).keys() == names
    assert first_words((DOCS / "reference" / "configuration.md").read_text()) == names


def test_example_configuration_is_one() -> None:
    """The example names every setting, is accepted, and shows the default limits."""
    text = next(
        text for kind, text in fenced_blocks(DOCS / "reference" / "configuration.md") if kind == "yaml"
    )
    assert set(re.findall(r"^([a-z_]+):", text, re.MULTILINE)) == set(_File.__struct_fields__)
    assert parse(text.encode(), Path("example"), system_places()).limits == Limits()


@pytest.mark.parametrize("page", ["tcp.md", "principals.md"])
def test_configurations_in_how_tos_are_accepted(page: str) -> None:
    """What a how-to says to put into the agent's configuration is one."""
    texts = [text for kind, text in fenced_blocks(DOCS / "how-to" / page) if kind == "yaml"]
    assert texts
    for text in texts:
        parse(text.encode(), Path(page), system_places())


def test_mount_options_are_documented() -> None:
    """kmsfs-mount(1) explains each word that -o takes, and no other."""
    words = items(section(KMSFS_PAGES["mount"], "MOUNT OPTIONS")).keys()
    assert {word for item in words for word in item.split(" , ")} == set(options._WORDS)


def test_operations_are_documented() -> None:
    """The page of the KMS API has every operation that is offered, and no other."""
    text = (DOCS / "reference" / "kms-api.md").read_text()
    named = {word for word in first_words(text) if word in OPERATIONS or word[:1].isupper()}
    assert named == HANDLERS.keys() - ADMINISTRATION.keys()


@pytest.mark.parametrize(
    ("page", "row", "limit"),
    [
        ("filesystem.md", "name", names.NAME_SIZE_MAX),
        ("filesystem.md", "symlink target", records.TARGET_SIZE_MAX),
        ("filesystem.md", "inodes kept in memory", inodes.MAX_NODES),
        ("filesystem.md", "directories held open", directories._MOST_OPEN),
        ("kms-api.md", "keys in the account", Quotas().keys),
        ("kms-api.md", "aliases of a key", Quotas().aliases_per_key),
        ("kms-api.md", "on-demand rotations in a key's life", rotation.ON_DEMAND_LIMIT),
        ("kms-api.md", "CiphertextBlob", blob.MAX_BLOB_BYTES),
        ("kms-api.md", "key policy", policies.MAX_POLICY_BYTES),
        ("policies.md", "key policy", policies.MAX_POLICY_BYTES),
        ("policies.md", "statements in a policy", policy_parse._MAX_STATEMENTS),
        ("policies.md", "question marks in a policy", policy_parse._MAX_QUESTION_MARKS),
        ("policies.md", "identity policies of a principal", identity.POLICIES_PER_PRINCIPAL),
        ("policies.md", "tags of a principal", identity.TAGS_PER_PRINCIPAL),
    ],
)
def test_limits_are_documented(page: str, row: str, limit: int) -> None:
    """A limit in the reference is the one in the code."""
    values = dict(row[:2] for row in table_rows((DOCS / "reference" / page).read_text()))
    assert re.findall(r"\d+(?:,\d{3})*", values[row]) == [f"{limit:,}"], (
        f"{row} in {page}, or {limit:,} in the code"
    )


def test_condition_keys_are_documented() -> None:
    """The page of policies has every condition key that a request can have, and none that there is not."""
    text = (DOCS / "reference" / "policies.md").read_text()
    table = text.partition("## Condition keys")[2].partition("Other keys of AWS")[0]
    named = {name.rstrip("…").lower() for name in re.findall(r"`((?:aws|kms):[^`]+)`", table)}
    deprecated = {"kms:customermasterkeyspec", "kms:customermasterkeyusage"}
    alike = {"aws:calledviafirst", "aws:calledvialast", "aws:principalisawsservice"}
    attested = {name for name in context._SOURCES if name.startswith("kms:recipientattestation:")}
    expected = {*context._SOURCES, *context._FAMILIES, "kms:recipientattestation:"}
    assert named == expected - deprecated - alike - attested


# Pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links lead to files of the tree, and to headings that are there."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached() -> None:
    """Each page below docs/ is linked from the README or from the index."""
    indexes = [ROOT / "README.md", DOCS / "README.md", DOCS / "adr" / "README.md"]
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for index in indexes
        for target in re.findall(r"\]\(([^)\s]+)\)", index.read_text())
    }
    assert [page for page in PAGES if DOCS in page.parents and page not in linked | set(indexes)] == []


def test_readme_names_the_two_commands() -> None:
    """The README says how to see it work and how to test it, and both scripts can be run."""
    text = (ROOT / "README.md").read_text()
    for script in ("scripts/demo", "scripts/test"):
        assert script in text
        assert os.access(ROOT / script, os.X_OK)


def test_wheel_ships_the_man_pages() -> None:
    """An installed package has every man page where man(1) looks for it."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {
        page.relative_to(ROOT).as_posix(): f"share/man/man{page.suffix[1:]}/{page.name}" for page in MAN_PAGES
    }


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", MAN_PAGES, ids=lambda page: page.name)
def test_man_page_is_well_formed(page: Path) -> None:
    """The page is formatted by groff without a warning."""
    result = subprocess.run(
        ["groff", "-mandoc", "-ww", "-Tutf8", "-z", str(page)], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""


def test_the_page_of_operations_is_the_programs_own() -> None:
    """What the generator writes is what the page says: nobody has forgotten to run it."""
    generator = runpy.run_path(str(DOCS / "reference" / "generate.py"))
    written = generator["page"]()
    assert (DOCS / "reference" / "operations.md").read_text() == written, "python docs/reference/generate.py"
