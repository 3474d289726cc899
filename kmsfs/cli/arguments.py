"""Owns the arguments that several commands share."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import click

from kmsfs import keyfile

R = TypeVar("R")

agent_option = click.option(
    "--agent",
    "agent_url",
    metavar="URL",
    help="The key management agent: unix:///path, http://host:port or https://host:port. "
    "Without it KMS_AGENT_URL names one; without that it is your own, started when it does not run.",
)


def customer_key_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options for customers' keys, as its argument `customer_keys`."""

    @click.option(
        "--customer-key-file",
        "files",
        metavar="FILE",
        multiple=True,
        type=click.Path(dir_okay=False),
        help="A key of your own, where a policy has mode customer: 32 bytes, or those in base64, in a file "
        "that only you may read. Repeat it for several.",
    )
    @click.option(
        "--customer-key-fd",
        "descriptors",
        metavar="N",
        multiple=True,
        type=click.IntRange(0),
        help="The same, from an open file descriptor.",
    )
    @wraps(command)
    def with_keys(*args: object, files: tuple[str, ...], descriptors: tuple[int, ...], **kwargs: object) -> R:
        return command(*args, customer_keys=keyfile.read_all(files, descriptors), **kwargs)

    return with_keys
