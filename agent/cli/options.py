"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from agent.client import AgentClient, default_agent_url

_REGION = "agent.cli.options.region"

agent_option = click.option(
    "--agent",
    "agent_url",
    metavar="URL",
    default=default_agent_url,
    help="Agent to ask: unix:///path, http://host:port or https://host:port. Default: $KMS_AGENT_URL, "
    "else your own agent, which is the machine's for root.",
)


def _remember_region(context: click.Context, _option: click.Parameter, region: str | None) -> None:
    context.meta[_REGION] = region


region_option = click.option(
    "--region",
    metavar="REGION",
    expose_value=False,
    callback=_remember_region,
    help="Region whose keys are meant. Default: that of a key ARN, else the agent's own; "
    "over TCP $AWS_REGION.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with the names of the AWS KMS API."
)
config_option = click.option(
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file. Default: /etc/kms-agent/config.yaml for root, "
    "~/.config/kms-agent/config.yaml for others, where there is one.",
)
passphrase_file_option = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Read the passphrase from the first line of FILE; - is standard input.",
)


def connect(agent_url: str) -> AgentClient:
    """Return a client of the agent at an address, for the Region that the command was given, if any."""
    return AgentClient(agent_url, region=click.get_current_context().meta.get(_REGION))
