"""``kms-agent key create``: a new key, with its name and tags."""

from __future__ import annotations

import click

from agent.api import operations
from agent.api.enums import KeySpec, KeyUsage, Origin
from agent.api.errors import ServiceError
from agent.api.shapes.aliases import CreateAliasRequest
from agent.api.shapes.keys import CreateKeyRequest
from agent.cli.names import alias_name
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.pairs import tags_of
from agent.cli.printing import plain, print_json, print_line


@click.command("create")
@click.option("--description", metavar="TEXT", help="What the key is for.")
@click.option("--alias", "alias", metavar="NAME", help="Also give it this alias.")
@click.option(
    "--spec",
    metavar="SPEC",
    type=click.Choice([*KeySpec], case_sensitive=False),
    help="What kind of key, in the words of the AWS KMS API; a symmetric encryption key by default.",
)
@click.option(
    "--usage",
    metavar="USAGE",
    type=click.Choice([*KeyUsage], case_sensitive=False),
    help="What it is for, in the words of the AWS KMS API; needed with --spec.",
)
@click.option(
    "--origin",
    metavar="ORIGIN",
    type=click.Choice([Origin.AWS_KMS, Origin.EXTERNAL], case_sensitive=False),
    help="Where its key material comes from: aws_kms, by default, or external; then import your own.",
)
@click.option("--multi-region", is_flag=True, help="Make a primary key, which can be replicated.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Tag it; may be repeated.")
@agent_option
@region_option
@json_option
def create(
    *,
    description: str | None,
    alias: str | None,
    spec: KeySpec | None,
    usage: KeyUsage | None,
    origin: Origin | None,
    multi_region: bool,
    tags: tuple[str, ...],
    agent_url: str,
    as_json: bool,
) -> None:
    """Create a key, for symmetric encryption unless told otherwise."""
    wanted = CreateKeyRequest(
        description=description,
        key_spec=spec,
        key_usage=usage,
        origin=origin,
        multi_region=multi_region or None,
        tags=tags_of(tags, "--tag") or None,
    )
    with connect(agent_url) as client:
        key = client.call(operations.CREATE_KEY, wanted).key_metadata
        if alias is not None:
            request = CreateAliasRequest(alias_name=alias_name(alias), target_key_id=key.key_id)
            try:
                client.call(operations.CREATE_ALIAS, request)
            except ServiceError:
                click.echo(f"the key was created, but without its alias: {key.arn}", err=True)
                raise
    if as_json:
        print_json(plain(key))
    else:
        print_line(key.arn or key.key_id)
