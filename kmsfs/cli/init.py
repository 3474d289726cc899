"""kmsfs init: the command line of `mkfs`."""

import os
import re
from typing import Final

import click

from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.show import show_line
from kmsfs.connect import connected
from kmsfs.customerkeys import CustomerKeys
from kmsfs.geometry import MAX_CHUNK_SHIFT, MIN_CHUNK_SHIFT
from kmsfs.mkfs import MANAGED_KEY, VolumePlan, make_volume
from kmsfs.volume import BUCKET, CUSTOMER, MODES, Parameters

_SIZE: Final = re.compile(r"([0-9]{1,7})([kKmM]?)")
_UNITS: Final = {"": 0, "k": 10, "m": 20}


class ChunkSize(click.ParamType[int]):
    """A power of two, such as 4096, 64K or 1M; becomes its exponent."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the exponent, or fail with what is allowed."""
        match = _SIZE.fullmatch(str(value))
        size = int(match[1]) << _UNITS[match[2].lower()] if match else 0
        shift = size.bit_length() - 1
        if size <= 0 or size != 1 << shift or not MIN_CHUNK_SHIFT <= shift <= MAX_CHUNK_SHIFT:
            self.fail(f"{value!r} is not a power of two from {1 << MIN_CHUNK_SHIFT} to 1M", param, ctx)
        return shift


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--key", "key_id", metavar="KEY", help=f"The KMS key.  [default: {MANAGED_KEY}]")
@click.option("--plain-names", is_flag=True, help="Keep file names readable in the ciphertext directory.")
@click.option(
    "--no-bindings",
    "has_bindings",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not tie files and directories to their names: whoever can write to DIR may then exchange them.",
)
@click.option(
    "--chunk-size",
    "chunk_shift",
    type=ChunkSize(),
    default="4K",
    show_default=True,
    help="How much is encrypted at a time. Larger suits files that are written once.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=BUCKET,
    show_default=True,
    help="Where the data keys of files come from: one call to the service for many files, one for each, or "
    "a key of your own.",
)
@agent_option
@customer_key_options
def init(
    directory: str,
    key_id: str | None,
    *,
    plain_names: bool,
    has_bindings: bool,
    chunk_shift: int,
    mode: str,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> None:
    """Make an encrypted volume in DIR, which is empty or does not exist yet.

    KEY is a key id, key ARN, alias name or alias ARN. Without one the agent's own managed key serves.
    """
    parameters = Parameters(names="plain" if plain_names else "siv", bindings=has_bindings)
    plan = VolumePlan(
        key_id=key_id or MANAGED_KEY,
        mode=mode,
        customer_key=_customer_key(mode, key_id, customer_keys),
        chunk_shift=chunk_shift,
        parameters=parameters,
        agent_url=agent_url,
    )
    path = os.path.realpath(directory)
    with connected(agent_url) as agent:
        description = make_volume(path, agent, plan)
    key = description.policies[0].key_arn or "a customer's key"
    show_line(f"Made volume {description.volume_id.hex()} in {path} under {key}")
    show_line(f"Mount it with: kmsfs mount {directory} MOUNTPOINT")


def _customer_key(mode: str, key_id: str | None, customer_keys: CustomerKeys) -> bytes | None:
    """Return the key that stands in place of a KMS key, where the mode says that one does."""
    if mode != CUSTOMER:
        if customer_keys.keys:
            raise click.UsageError("A key of your own needs --mode customer.")
        return None
    if key_id is not None:
        raise click.UsageError("--mode customer takes a key of your own, not a KMS key.")
    if len(customer_keys.keys) != 1:
        raise click.UsageError("--mode customer needs one of --customer-key-file and --customer-key-fd.")
    return customer_keys.keys[0]
