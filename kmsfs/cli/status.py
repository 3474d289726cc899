"""kmsfs status: the command line of `status`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import click

from kmsfs import status as statuses
from kmsfs.cli.keytable import as_member, as_pairs, counted
from kmsfs.cli.show import show_line
from kmsfs.cli.styled import show_pairs
from kmsfs.status import CLEAN, IN_USE, UNCLEAN, Status, VolumeReport

_CONDITIONS: Final = {
    CLEAN: "clean",
    IN_USE: "in use since {}",
    UNCLEAN: "not unmounted cleanly, in use since {}; the next mount for writing repairs it",
}


@click.command()
@click.argument("path", metavar="[DIR|MOUNTPOINT]", required=False)
@click.option("--keys", "with_keys", is_flag=True, help="Count the files under each key, all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with one object for each mount.")
def status(path: str | None, *, with_keys: bool, as_json: bool) -> None:
    """Show how a volume or a mount is; without an argument, every mount.

    What a volume that is not mounted says of itself is shown as it stands there, unchecked: the agent is not
    asked.
    """
    found = statuses.all_mounts() if path is None else statuses.of_path(path)
    counts = [counted(each) if with_keys else None for each in found]
    if as_json:
        both = zip(found, counts, strict=True)
        click.echo(json.dumps([_as_dict(each) | as_member(each, files) for each, files in both], indent=2))
        return
    if not found:
        show_line("No kmsfs volume is mounted.")
    for each, files in zip(found, counts, strict=True):
        show_pairs(each.ciphertext, _pairs(each))
        if files is not None:
            show_pairs("files under each key", as_pairs(each, files))


def _as_dict(found: Status) -> dict[str, object]:
    mount, volume = found.mount, found.volume
    return {
        "state": found.state,
        "ciphertext": found.ciphertext,
        "mountpoint": mount and mount.mountpoint,
        "owner_uid": mount and mount.owner_uid,
        "options": mount and sorted(mount.options),
        "volume": volume and _volume_as_dict(volume),
        "running": found.running,
    }


def _volume_as_dict(volume: VolumeReport) -> dict[str, object]:
    description = volume.description
    return {
        "volume_id": volume.volume_id,
        "format": description.format,
        "names": description.parameters.names,
        "condition": volume.condition,
        "in_use_since": description.in_use_since,
        "holder_pid": volume.holder and volume.holder.pid,
        "holder_host": volume.holder and volume.holder.host,
        "keys": [
            {
                "policy": policy.index,
                "mode": policy.mode,
                "key_arn": policy.key_arn,
                "chunk_size_bytes": 1 << policy.chunk_shift,
            }
            for policy in description.policies
        ],
        "volume_key_material_id": description.volume_key_material_id,
        "bucket_keys": [
            {
                "id": entry.id.hex(),
                "policy": entry.policy,
                "key_material_id": entry.key_material_id,
                "created": entry.created,
            }
            for entry in description.bucket_keys
        ],
    }


def _pairs(found: Status) -> Iterator[tuple[str, object]]:
    yield "state", found.state
    if found.mount is not None:
        yield "mounted at", found.mount.mountpoint
        yield "options", ",".join(sorted(found.mount.options))
    if found.volume is not None:
        yield from _volume_pairs(found.volume)
    if found.running is not None:
        yield from _running_pairs(found.running)


def _volume_pairs(volume: VolumeReport) -> Iterator[tuple[str, object]]:
    yield "volume", volume.volume_id
    parameters = volume.description.parameters
    yield "names", {"siv": "encrypted", "plain": "plain"}[parameters.names]
    for policy in volume.description.policies:
        key = policy.key_arn or "a key of the customer's"
        yield f"policy {policy.index}", f"{key} ({policy.mode}), chunks of {1 << policy.chunk_shift} bytes"
    if volume.description.volume_key_material_id is not None:
        yield "volume key", f"under key material {volume.description.volume_key_material_id}"
    for entry in volume.description.bucket_keys:
        material = entry.key_material_id or "unknown"
        yield "bucket key", f"{entry.id.hex()}, made {entry.created}, under key material {material}"
    if volume.holder is not None:
        yield "in use by", volume.holder
    yield "condition", _CONDITIONS[volume.condition].format(volume.description.in_use_since)


def _running_pairs(running: dict[str, object]) -> Iterator[tuple[str, object]]:
    yield "process", running.get("pid")
    began = running.get("began")
    if isinstance(began, int | float):
        yield "since", datetime.fromtimestamp(began, UTC).isoformat(" ", "seconds")
    yield "log", running.get("log")
    yield "memory", f"{running.get('resident_kib')} KiB resident"
    yield "open descriptors", running.get("open_descriptors")
    hardened = running.get("hardening")
    if isinstance(hardened, dict):
        locked, reason = hardened.get("memory_locked"), hardened.get("memory_lock_reason")
        yield "kept out of swap", "yes" if locked else f"no: {reason}"
    yield from _unavailable(running.get("policies"))
    counters = running.get("counters")
    if isinstance(counters, dict):
        for name, value in counters.items():
            yield str(name).replace("_", " "), value
    damage = running.get("damage")
    if isinstance(damage, dict):
        yield from _damage_pairs(damage)


def _unavailable(policies: object) -> Iterator[tuple[str, object]]:
    """Say which policies the mount has no keys of."""
    for each in policies if isinstance(policies, list) else ():
        if each["unavailable"]:
            yield "unavailable", f"policy {each['policy']}: {each['unavailable']}"
        for key_id, reason in each["bucket_keys_unavailable"].items():
            if reason != each["unavailable"]:
                yield "unavailable", f"bucket key {key_id}: {reason}"


def _damage_pairs(damage: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for each in damage["recent"]:
        when = datetime.fromtimestamp(each["seen_at"], UTC).isoformat(" ", "seconds")
        yield "damaged", f"{each['path']}: {each['kind']}: {each['detail']} ({when})"
    audit = damage["audit"]
    if damage["recent"]:
        told = f"{audit['recorded']} recorded, {damage['untold']} waiting, {audit['refused']} refused"
        yield "in the keys' audit log", f"{told}, {damage['dropped']} dropped; {audit['state']}"
