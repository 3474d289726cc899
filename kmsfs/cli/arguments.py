"""Owns the arguments that several commands share."""

import click

agent_option = click.option(
    "--agent",
    "agent_url",
    metavar="URL",
    help="The key management agent: unix:///path, http://host:port or https://host:port. "
    "Without it KMS_AGENT_URL names one; without that it is your own, started when it does not run.",
)
