"""kmsfs rewrap: the command line of `rewrap`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from kmsfs import logs, reaching
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.leaving import follow
from kmsfs.cli.places import place_of
from kmsfs.cli.show import show_line
from kmsfs.customerkeys import CustomerKeys


@click.command()
@click.argument("directory", metavar="DIR|MOUNTPOINT")
@click.option("--key", "key_id", metavar="KEY", help="Put the keys under another KMS key: id, ARN or alias.")
@click.option("--policy", type=click.IntRange(min=0), metavar="N", help="Only the keys of policy N.")
@click.option("--files", "with_files", is_flag=True, help="Go through the headers of all files, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@agent_option
@customer_key_options
def rewrap(
    directory: str,
    *,
    key_id: str | None,
    policy: int | None,
    with_files: bool,
    as_json: bool,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Wrap the keys of a volume anew, under current key material or under another KMS key; mounted or not.

    No content is written. With --files, the data key of every file is wrapped as that of a new file would be,
    so that no older key is needed; that can be interrupted, and done again goes on.
    """
    logs.warnings_to_terminal_too()
    request = {"ask": "rewrap", "policy": policy, "key_id": key_id, "with_files": with_files}
    job = reaching.do(place_of(directory), request, agent_url, customer_keys)
    done, left = follow(job, "rewrapping", "files", quiet=as_json)
    if as_json:
        click.echo(json.dumps({**done, "left": left}, indent=2))
    else:
        for line in _ending(done):
            show_line(line)
    return ExitCode.INCOMPLETE if left or done["refused_policies"] else ExitCode.DONE


def _ending(done: Mapping[str, Any]) -> Iterator[str]:
    for index, reason in done["refused_policies"].items():
        yield f"policy {index} has its keys as they were: {reason}"
    yield f"keys of the volume: {done['rewrapped_keys']} wrapped anew, {done['new_keys']} new"
    files = done["files"]
    if files is None:
        return
    yield (
        f"files: {files['rewrapped']} wrapped anew, {files['current']} needed nothing, "
        f"{files['refused']} left as they are"
    )
    if files["is_complete"]:
        yield f"bucket keys that no file needs any more: {files['dropped_keys']} dropped"
    else:
        yield "bucket keys: none dropped, since not every file could be looked at; do this again"
