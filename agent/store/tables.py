"""Owns the store's SQL schema and the way between rows and records. Knows nothing of connections or files.

Columns are named as the fields of the records that their table keeps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)
from sqlalchemy.types import TypeEngine

from agent.api.enums import (
    AccessKeyStatus,
    ExpirationModel,
    GrantOperation,
    ImportState,
    KeyManager,
    KeySpec,
    KeyState,
    KeyUsage,
    Origin,
    RotationType,
)
from agent.keys.grant import Grant
from agent.keys.identity import AccessKey, IdentityPolicy, PrincipalProfile
from agent.keys.key import Alias, Key, KeyMaterial
from agent.store.columns import Pairs, Word, Words
from agent.store.protocol import Record

SCHEMA_VERSION: Final = 2

METADATA: Final = MetaData()

SCHEMA: Final = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))


def _belongs_to_key(key_id_column: str) -> ForeignKeyConstraint:
    # Deferred, so that a transaction may put things in any order.
    return ForeignKeyConstraint(
        ["region", key_id_column],
        ["keys.region", "keys.key_id"],
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    )


_KEYS: Final = Table(
    "keys",
    METADATA,
    Column("region", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("creation_date", Float, nullable=False),
    Column("creator_arn", String, nullable=False),
    Column("description", String, nullable=False),
    Column("key_state", Word(KeyState), nullable=False),
    Column("key_spec", Word(KeySpec), nullable=False),
    Column("key_usage", Word(KeyUsage), nullable=False),
    Column("origin", Word(Origin), nullable=False),
    Column("key_manager", Word(KeyManager), nullable=False),
    Column("policy", String, nullable=False),
    Column("current_material_id", String, nullable=False),
    Column("primary_region", String),
    Column("transition_date", Float),
    Column("deletion_date", Float),
    Column("pending_window_days", Integer),
    Column("rotation_period_days", Integer),
    Column("next_rotation_date", Float),
    Column("on_demand_rotation_count", Integer, nullable=False),
    Column("on_demand_rotation_start", Float),
    Column("tags", Pairs, nullable=False),
    Column("custom_key_store_id", String),
    Column("xks_key_id", String),
)

_MATERIALS: Final = Table(
    "materials",
    METADATA,
    Column("region", String, primary_key=True),
    Column("material_id", String, primary_key=True),
    Column("key_id", String, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("creation_date", Float, nullable=False),
    Column("rotation_type", Word(RotationType)),
    Column("wrapped", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("import_state", Word(ImportState)),
    Column("pending_rotation", Boolean, nullable=False),
    Column("description", String, nullable=False),
    Column("expiration_model", Word(ExpirationModel)),
    Column("valid_to", Float),
    Column("fingerprint", LargeBinary, nullable=False),
    _belongs_to_key("key_id"),
    Index("materials_of_key", "region", "key_id", "generation", unique=True),
)

_ALIASES: Final = Table(
    "aliases",
    METADATA,
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("target_key_id", String),
    Column("creation_date", Float, nullable=False),
    Column("last_updated_date", Float, nullable=False),
    _belongs_to_key("target_key_id"),
    Index("aliases_of_key", "region", "target_key_id"),
)

_GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("region", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("grant_id", String, primary_key=True),
    Column("creation_date", Float, nullable=False),
    Column("issuing_account", String, nullable=False),
    Column("operations", Words(GrantOperation), nullable=False),
    Column("name", String),
    Column("grantee_principal", String),
    Column("grantee_id", String, nullable=False),
    Column("retiring_principal", String),
    Column("grantee_service_principal", String),
    Column("retiring_service_principal", String),
    Column("context_equals", Pairs),
    Column("context_subset", Pairs),
    Column("source_arn", String),
    _belongs_to_key("key_id"),
)

_ACCESS_KEYS: Final = Table(
    "access_keys",
    METADATA,
    Column("access_key_id", String, primary_key=True),
    Column("principal_arn", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("status", Word(AccessKeyStatus), nullable=False),
    Column("creation_date", Float, nullable=False),
    Column("wrapped_secret", LargeBinary, nullable=False),
    Column("role_arn", String),
    Column("expiration", Float),
    Column("token_digest", LargeBinary, nullable=False),
    Column("session_tags", Pairs, nullable=False),
    Column("session_policy", String),
)

_IDENTITY_POLICIES: Final = Table(
    "identity_policies",
    METADATA,
    Column("principal_arn", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("document", String, nullable=False),
)

_PROFILES: Final = Table(
    "principal_profiles",
    METADATA,
    Column("principal_arn", String, primary_key=True),
    Column("tags", Pairs, nullable=False),
    Column("boundary", String),
)

TABLES: Final[Mapping[type[Record], Table]] = {
    Key: _KEYS,
    KeyMaterial: _MATERIALS,
    Alias: _ALIASES,
    Grant: _GRANTS,
    AccessKey: _ACCESS_KEYS,
    IdentityPolicy: _IDENTITY_POLICIES,
    PrincipalProfile: _PROFILES,
}
"""The table of each kind of record."""


def to_row(record: Record) -> dict[str, Any]:
    """Return a record as a row of its table."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def query(kind: type[Record]) -> str:
    """Return the SQL that reads all records of a kind, as rows for `reader`."""
    table = TABLES[kind]
    return str(select(*(table.columns[field.name] for field in fields(kind))))


def reader(kind: type[Record]) -> Callable[[Sequence[Any]], Any]:
    """Return what makes a record of a row; it raises ValueError or TypeError where that makes no sense.

    SQLAlchemy would do the same for each column of each row by itself, and take four times as long.
    """
    columns = [TABLES[kind].columns[field.name].type for field in fields(kind)]
    reads = [(place, _read(column)) for place, column in enumerate(columns)]
    needed = [(place, read) for place, read in reads if read is not None]

    def record(row: Sequence[Any]) -> Any:  # noqa: ANN401 -- a record of `kind`
        values = list(row)
        for place, read in needed:
            values[place] = read(values[place])
        return kind(*values)

    return record


def _read(column: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(column, Word | Pairs):
        return column.read
    return bool if isinstance(column, Boolean) else None
