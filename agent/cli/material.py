"""``kms-agent key import`` and ``key delete-material``: key material that you bring yourself."""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from agent.api import operations
from agent.api.enums import AlgorithmSpec, ExpirationModel, ImportType, WrappingKeySpec
from agent.api.shapes.material import (
    DeleteImportedKeyMaterialRequest,
    GetParametersForImportRequest,
    ImportKeyMaterialRequest,
)
from agent.cli.listing import key_id_of
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.printing import plain, print_json, print_line

if TYPE_CHECKING:
    from typing import BinaryIO

# Takes material of every kind; RSA_4096 would take the agent seconds to make.
_ALGORITHM: Final = AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_256
_WRAPPING_KEY_SPEC: Final = WrappingKeySpec.RSA_3072
# More than any key: RSA_4096 in PEM has 3,272 bytes.
_MAX_FILE_BYTES: Final = 8192
_PEM: Final = (b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----")
_DATES: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")


@click.command("import")
@click.argument("key")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--expires",
    metavar="DATE",
    type=click.DateTime(_DATES),
    help="Delete the material then, YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ; by default it stays.",
)
@click.option("--new", is_flag=True, help="Further material of a symmetric key, to rotate to.")
@click.option("--description", metavar="TEXT", help="What the material is, for symmetric keys.")
@agent_option
@region_option
@json_option
def import_material(
    key: str,
    file: BinaryIO,
    expires: datetime | None,
    description: str | None,
    agent_url: str,
    *,
    new: bool,
    as_json: bool,
) -> None:
    """Give a key that was created with --origin external its material, or give it back.

    FILE holds the bytes of a symmetric or HMAC key, or a private key in PKCS#8, DER or PEM; - is standard
    input. It goes to the agent encrypted. Keep it: what is deleted or has expired can only be replaced by the
    same material.
    """
    # Here: commands that have nothing to encrypt need not wait for the library.
    from agent.crypto import keywrap  # noqa: PLC0415 -- see above

    material = _read(file)
    with connect(agent_url) as client:
        key_id = key_id_of(client, key)
        parameters = client.call(
            operations.GET_PARAMETERS_FOR_IMPORT,
            GetParametersForImportRequest(
                key_id=key_id, wrapping_algorithm=_ALGORITHM, wrapping_key_spec=_WRAPPING_KEY_SPEC
            ),
        )
        expiry = None if expires is None else expires.replace(tzinfo=UTC).timestamp()
        response = client.call(
            operations.IMPORT_KEY_MATERIAL,
            ImportKeyMaterialRequest(
                key_id=key_id,
                import_token=parameters.import_token,
                encrypted_key_material=keywrap.wrap(_ALGORITHM, parameters.public_key, material),
                valid_to=expiry,
                expiration_model=(
                    ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE
                    if expiry is None
                    else ExpirationModel.KEY_MATERIAL_EXPIRES
                ),
                import_type=ImportType.NEW_KEY_MATERIAL if new else None,
                key_material_description=description,
            ),
        )
    if as_json:
        print_json(plain(response))
        return
    what = f"key material {response.key_material_id}" if response.key_material_id else "its key material"
    hint = f"; to begin to use it: kms-agent key rotate {key}" if new else ""
    print_line(f"{key} has {what}{hint}")


@click.command("delete-material")
@click.argument("key")
@click.option("--material", "material_id", metavar="ID", help="Which material; by default the present one.")
@agent_option
@region_option
@json_option
def delete_material(key: str, material_id: str | None, agent_url: str, *, as_json: bool) -> None:
    """Delete imported material; the key cannot be used until you import the same material again."""
    with connect(agent_url) as client:
        request = DeleteImportedKeyMaterialRequest(key_id=key_id_of(client, key), key_material_id=material_id)
        response = client.call(operations.DELETE_IMPORTED_KEY_MATERIAL, request)
    if as_json:
        print_json(plain(response))
    else:
        print_line(f"the material is gone; to give it back: kms-agent key import {key} FILE")


def _read(file: BinaryIO) -> bytes:
    """Return the material in a file; a private key in DER, however it is written."""
    content = file.read(_MAX_FILE_BYTES + 1)
    if not 0 < len(content) <= _MAX_FILE_BYTES:
        raise click.UsageError(f"there is no key in this file: a key has 1 to {_MAX_FILE_BYTES} bytes")
    begin, end = _PEM
    if not content.lstrip().startswith(begin):
        return content
    body, found, _ = content.partition(begin)[2].partition(end)
    try:
        material = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
    except binascii.Error:
        material = b""
    if not material or not found:
        raise click.UsageError("the private key in this file is not well-formed PEM")
    return material
