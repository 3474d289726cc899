"""``kms-agent key``: keys and their life, over the agent's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.api import operations
from agent.api.enums import ImportState, KeySpec, KeyState, Origin
from agent.api.shapes.keys import (
    CancelKeyDeletionRequest,
    DisableKeyRequest,
    EnableKeyRequest,
    KeyMetadata,
    ScheduleKeyDeletionRequest,
)
from agent.api.shapes.rotation import (
    DisableKeyRotationRequest,
    EnableKeyRotationRequest,
    GetKeyRotationStatusRequest,
    GetKeyRotationStatusResponse,
    RotateKeyOnDemandRequest,
)
from agent.cli.creating import create
from agent.cli.listing import all_aliases, all_keys, all_materials, describe, key_id_of
from agent.cli.material import delete_material, import_material
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.printing import moment, plain, print_fields, print_json, print_line, print_table
from agent.cli.replicas import replicate, update_primary
from agent.cli.rotation import wait_until_rotated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.api.shapes.rotation import RotationsListEntry


@click.group("key")
def key_group() -> None:
    """Create, look at and manage keys.

    KEY is a key id, a key ARN or an alias.
    """


key_group.add_command(create)
key_group.add_command(import_material)
key_group.add_command(delete_material)
key_group.add_command(replicate)
key_group.add_command(update_primary)


@key_group.command("list")
@agent_option
@region_option
@json_option
def list_(agent_url: str, *, as_json: bool) -> None:
    """List the keys that you may look at."""
    with connect(agent_url) as client:
        keys = sorted(all_keys(client), key=lambda key: (key.creation_date or 0, key.key_id))
        names: dict[str, list[str]] = {key.key_id: [] for key in keys}
        for alias in all_aliases(client, None):
            names.get(alias.target_key_id or "", []).append(alias.alias_name)
    if as_json:
        print_json([plain(key) | {"Aliases": names[key.key_id]} for key in keys])
        return
    rows = [(key.key_id, ", ".join(names[key.key_id]), _state(key), key.description or "") for key in keys]
    print_table(("Key id", "Aliases", "State", "Description"), rows)


@key_group.command("show")
@click.argument("key")
@agent_option
@region_option
@json_option
def show(key: str, agent_url: str, *, as_json: bool) -> None:
    """Show all there is to know about a key."""
    with connect(agent_url) as client:
        metadata = describe(client, key)
        # The key may be in another Region, where its ARN led.
        key_id = metadata.arn or metadata.key_id
        rotation = client.call(operations.GET_KEY_ROTATION_STATUS, GetKeyRotationStatusRequest(key_id=key_id))
        aliases = [alias.alias_name for alias in all_aliases(client, key_id)]
        rotates = metadata.key_spec is KeySpec.SYMMETRIC_DEFAULT
        materials = list(all_materials(client, key_id)) if rotates else []
    if as_json:
        print_json(
            {
                "KeyMetadata": plain(metadata),
                "Aliases": aliases,
                "RotationStatus": plain(rotation),
                "Rotations": [plain(material) for material in materials],
            }
        )
        return
    print_fields(
        {
            "Key id": metadata.key_id,
            "ARN": metadata.arn or "",
            "Aliases": ", ".join(aliases),
            "Description": metadata.description or "",
            "State": _state(metadata),
            "Spec": f"{metadata.key_spec}, {metadata.key_usage}",
            "Manager": str(metadata.key_manager),
            "Multi-Region": _relatives(metadata),
            "Created": moment(metadata.creation_date),
            "Rotation": _rotation(rotation) if rotates else "never",
            "Key material": _material(metadata, materials),
        }
    )


@key_group.command("enable")
@click.argument("key")
@agent_option
@region_option
def enable(key: str, agent_url: str) -> None:
    """Let a disabled key be used again."""
    with connect(agent_url) as client:
        client.call(operations.ENABLE_KEY, EnableKeyRequest(key_id=key_id_of(client, key)))


@key_group.command("disable")
@click.argument("key")
@agent_option
@region_option
def disable(key: str, agent_url: str) -> None:
    """Refuse every use of a key until it is enabled again."""
    with connect(agent_url) as client:
        client.call(operations.DISABLE_KEY, DisableKeyRequest(key_id=key_id_of(client, key)))


@key_group.command("rotate")
@click.argument("key")
@agent_option
@region_option
def rotate(key: str, agent_url: str) -> None:
    """Give a key new material now; what the old material encrypted still decrypts.

    A key whose material is imported gets the material that waits for its rotation.
    """
    with connect(agent_url) as client:
        key_id = key_id_of(client, key)
        client.call(operations.ROTATE_KEY_ON_DEMAND, RotateKeyOnDemandRequest(key_id=key_id))
        if not wait_until_rotated(client, key_id):
            click.echo(f"the rotation goes on; to see how far it is: kms-agent key show {key}", err=True)


@key_group.command("auto-rotate")
@click.argument("key")
@click.option(
    "--every", "days", metavar="DAYS", type=click.IntRange(90, 2560), help="Rotate every so many days."
)
@click.option("--off", is_flag=True, help="Rotate no more by itself.")
@agent_option
@region_option
def auto_rotate(key: str, days: int | None, agent_url: str, *, off: bool) -> None:
    """Rotate a key's material by itself, every 365 days unless told otherwise."""
    if off and days is not None:
        raise click.UsageError("--every and --off exclude each other")
    with connect(agent_url) as client:
        key_id = key_id_of(client, key)
        if off:
            client.call(operations.DISABLE_KEY_ROTATION, DisableKeyRotationRequest(key_id=key_id))
        else:
            request = EnableKeyRotationRequest(key_id=key_id, rotation_period_in_days=days)
            client.call(operations.ENABLE_KEY_ROTATION, request)


@key_group.command("schedule-deletion")
@click.argument("key")
@click.option(
    "--days",
    metavar="DAYS",
    type=click.IntRange(7, 30),
    default=30,
    show_default=True,
    help="Waiting period.",
)
@agent_option
@region_option
@json_option
def schedule_deletion(key: str, days: int, agent_url: str, *, as_json: bool) -> None:
    """Delete a key after a waiting period, during which it cannot be used.

    What it encrypted is lost with it. Until then the deletion can be cancelled.
    """
    with connect(agent_url) as client:
        key_id = key_id_of(client, key)
        request = ScheduleKeyDeletionRequest(key_id=key_id, pending_window_in_days=days)
        response = client.call(operations.SCHEDULE_KEY_DELETION, request)
    if as_json:
        print_json(plain(response))
        return
    when = f"on {moment(response.deletion_date)}"
    if response.deletion_date is None:
        when = f"{days} days after its last replica"
    print_line(f"{key_id} will be deleted {when}; to keep it: kms-agent key cancel-deletion {key_id}")


@key_group.command("cancel-deletion")
@click.argument("key")
@agent_option
@region_option
def cancel_deletion(key: str, agent_url: str) -> None:
    """Keep a key whose deletion was scheduled; it is disabled until you enable it."""
    with connect(agent_url) as client:
        request = CancelKeyDeletionRequest(key_id=key_id_of(client, key))
        client.call(operations.CANCEL_KEY_DELETION, request)
        print_line(f"{request.key_id} stays, disabled; to use it: kms-agent key enable {request.key_id}")


def _relatives(key: KeyMetadata) -> str:
    relatives = key.multi_region_configuration
    if relatives is None or relatives.primary_key is None:
        return ""
    replicas = ", ".join(sorted(str(replica.region) for replica in relatives.replica_keys or ()))
    kind = str(relatives.multi_region_key_type).lower()
    return f"{kind}; primary in {relatives.primary_key.region}, replicas in {replicas or 'no Region'}"


def _state(key: KeyMetadata) -> str:
    if key.key_state is KeyState.PENDING_DELETION:
        return f"{key.key_state} ({moment(key.deletion_date)})"
    return str(key.key_state or "(not yours)")


def _material(metadata: KeyMetadata, materials: Sequence[RotationsListEntry]) -> str:
    """Say what there is of a key's material; keys that do not rotate have one only."""
    parts = []
    if materials:
        parts.append(f"{len(materials)} in all, present: {metadata.current_key_material_id}")
    if metadata.origin is Origin.EXTERNAL:
        missing = sum(entry.import_state is ImportState.PENDING_IMPORT for entry in materials)
        if metadata.expiration_model is None:
            parts.append("to be imported")
        else:
            parts.append(f"{missing} to be imported again" if missing else "imported")
    if metadata.valid_to is not None:
        parts.append(f"expires {moment(metadata.valid_to)}")
    return "; ".join(parts)


def _rotation(status: GetKeyRotationStatusResponse) -> str:
    if status.on_demand_rotation_start_date is not None:
        return "under way"
    if not status.key_rotation_enabled:
        return "on demand only"
    return f"every {status.rotation_period_in_days} days, next {moment(status.next_rotation_date)}"
