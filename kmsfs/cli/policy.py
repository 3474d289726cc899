"""kmsfs policy: directories' default encryption, on a mount and without one."""

import base64
import getpass
import json
import os
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import click

from kmsfs import logs, permissions, reaching, status
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.init import ChunkSize
from kmsfs.cli.places import place_of
from kmsfs.cli.progressing import progressing
from kmsfs.cli.show import show_line
from kmsfs.cli.styled import show_pairs
from kmsfs.customerkeys import CustomerKeys
from kmsfs.jobs import Progress
from kmsfs.volume import MODES

_path_argument = click.argument("path", metavar="PATH")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def policy() -> None:
    """Say how files are encrypted that are made below a directory, as a bucket's default encryption does.

    PATH is on a mount, or DIR:PATH in the volume of a ciphertext directory, mounted or not.
    """


@policy.command("set")
@_path_argument
@click.option("--key", "key_id", metavar="KEY", help="The KMS key: key id, key ARN, alias name or alias ARN.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Where data keys come from: one call to the service for many files, one for each, or a key of your "
    "own, the last one given.",
)
@click.option("--chunk-size", "chunk_shift", type=ChunkSize(), help="How much is encrypted at a time.")
@_json_option
@agent_option
@customer_key_options
def set_(
    path: str,
    *,
    key_id: str | None,
    mode: str | None,
    chunk_shift: int | None,
    as_json: bool,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Encrypt otherwise what is made in the directory PATH from now on.

    What is not said stays as it is there. Directories below follow if they had the same policy; those with
    one of their own keep it. Files that exist keep their keys: kmsfs reencrypt gives them new ones.
    """
    logs.warnings_to_terminal_too()
    if (key_id, mode, chunk_shift) == (None, None, None):
        raise click.UsageError("Say what is to change: --key, --mode or --chunk-size.")
    wanted = {"key": key_id, "mode": mode, "chunk_shift": chunk_shift}
    if customer_keys.keys:
        wanted["customer_key"] = base64.b64encode(customer_keys.keys[-1]).decode()
    done = _finished(reaching.do(place_of(path), {"ask": "policy-set", **wanted}, agent_url, customer_keys))
    if as_json:
        click.echo(json.dumps(done, indent=2))
    else:
        show_line(f"{_named(done)}: policy {done['policy']}, given to {done['directories']} directories")
        for refused, reason in done["refused"]:
            show_line(f"left as it is: {refused}: {reason}")
    return ExitCode.PROBLEMS if done["refused"] else ExitCode.DONE


@policy.command()
@_path_argument
@_json_option
@agent_option
@customer_key_options
def show(path: str, *, as_json: bool, agent_url: str | None, customer_keys: CustomerKeys) -> None:
    """Show how the file PATH is encrypted, or how those will be that are made in the directory PATH."""
    logs.warnings_to_terminal_too()
    done = _finished(reaching.do(place_of(path), {"ask": "policy-show"}, agent_url, customer_keys))
    if as_json:
        click.echo(json.dumps(done, indent=2))
    else:
        show_pairs(path, _shown(done))


@policy.command("list")
@click.argument("path", metavar="DIR|MOUNTPOINT")
@click.option("--directories", is_flag=True, help="Go through the tree, and list where it changes.")
@_json_option
@agent_option
@customer_key_options
def list_(
    path: str, *, directories: bool, as_json: bool, agent_url: str | None, customer_keys: CustomerKeys
) -> None:
    """List the policies of a volume."""
    logs.warnings_to_terminal_too()
    request = {"ask": "policy-list", "directories": directories}
    found: list[Progress] = []
    done = _finished(reaching.do(place_of(path), request, agent_url, customer_keys), found)
    if as_json:
        told = {"directories": found} if directories else {}
        click.echo(json.dumps({**done, **told}, indent=2))
        return
    for each in done["policies"]:
        show_pairs(f"policy {each['policy']}", _shown(each))
    if directories:
        show_pairs("directories", ((str(row.get("policy", "damaged")), row["directory"]) for row in found))


@policy.command()
@click.argument("path", metavar="PATH")
@click.option(
    "--to",
    "principal",
    metavar="PRINCIPAL",
    help="Who is to use the volume: an ARN, or user/NAME or role/NAME of the key's account.  [default: you]",
)
@click.option("--identity", is_flag=True, help="Print a policy to attach to the user instead of to the keys.")
@_json_option
def explain(path: str, *, principal: str | None, identity: bool, as_json: bool) -> None:
    """Print the least that a user of a volume has to be allowed at its KMS keys, as policies and as grants.

    PATH is anywhere in the volume, or its ciphertext directory. What the volume's description says is taken
    unchecked: nobody is asked.
    """
    description = status.description_of(place_of(path).directory)
    if identity:
        click.echo(json.dumps(permissions.identity_policy(description), indent=2))
        return
    uses = permissions.key_uses(description, principal or _me())
    if as_json:
        keys = [{**use._asdict(), "grant": use.command} for use in uses]
        click.echo(json.dumps({"keys": keys}, indent=2))
        return
    if not uses:
        show_line("The volume needs no KMS key.")
    for use in uses:
        policies = ", ".join(map(str, use.policies))
        show_line(f"{use.key_arn}, behind policy {policies}: add to its key policy")
        click.echo(json.dumps(use.statements, indent=2))
        show_line(f"or: {use.command}")


def _me() -> str:
    # Root has no policies of its own and needs none; who runs this as root asks for somebody else.
    return f"user/{getpass.getuser()}" if os.geteuid() else "user/NAME"


def _finished(
    doing: Generator[Progress, None, Mapping[str, object]], told: list[Progress] | None = None
) -> Mapping[str, Any]:
    """Do something to its end; how far it is shows on a terminal, or is gathered."""
    latest = ""
    with progressing(lambda: latest):
        while True:
            try:
                step = next(doing)
            except StopIteration as end:
                result: Mapping[str, Any] = end.value
                return result
            latest = ", ".join(f"{name}: {value}" for name, value in step.items())
            if told is not None:
                told.append(step)


def _named(done: Mapping[str, Any]) -> str:
    key = done["key_arn"] or "a key of your own"
    return f"{key} ({done['mode']}, chunks of {done['chunk_size_bytes']} bytes)"


def _shown(told: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "policy", told["policy"]
    yield "mode", told["mode"]
    yield "key", told["key_arn"] or "the customer's own"
    yield "chunks", f"{told['chunk_size_bytes']} bytes"
    for name, value in (told.get("encryption_context") or {}).items():
        yield "encryption context", f"{name}={value}"
    if told.get("unavailable"):
        yield "unavailable", told["unavailable"]
    for key_id, reason in told.get("bucket_keys_unavailable", {}).items():
        yield "unavailable", f"bucket key {key_id}: {reason}"
