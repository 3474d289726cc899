"""kmsfs reencrypt: the command line of `reencrypt`."""

import json
import time

import click

from kmsfs import logs, moment, reaching
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.leaving import follow
from kmsfs.cli.places import place_of
from kmsfs.cli.show import show_line
from kmsfs.customerkeys import CustomerKeys


@click.command()
@click.argument("path", metavar="PATH|DIR[:PATH]")
@click.option("--recursive", is_flag=True, help="Go into the directories below a directory, too.")
@click.option("--since", metavar="MOMENT", help="Leave files made since then, 2026-01-31T23:59:59Z.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@agent_option
@customer_key_options
def reencrypt(
    path: str,
    *,
    recursive: bool,
    since: str | None,
    as_json: bool,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Write files anew, under new data keys and the policy of their directory; on a mount, or in DIR.

    Each is replaced in one step. Files that are open, or that have several names, are left as they are.
    """
    logs.warnings_to_terminal_too()
    # Cut to the next whole second: rather a file twice than one, made just before, not at all.
    began = since or moment.spell(time.time() + 1)
    if not as_json:
        show_line(f"to go on after an interruption: --since {began}")
    request = {"ask": "reencrypt", "recursive": recursive, "since": since}
    job = reaching.do(place_of(path), request, agent_url, customer_keys)
    done, left = follow(job, "encrypting anew", "bytes", quiet=as_json)
    if as_json:
        click.echo(json.dumps({"began": began, **done, "left": left}, indent=2))
    else:
        show_line(
            f"files: {done['reencrypted']} encrypted anew, {done['recent']} made since, "
            f"{len(left)} left as they are"
        )
    return ExitCode.INCOMPLETE if left else ExitCode.DONE
