"""Owns the store's SQL schema and the way between rows and values. Knows nothing of connections or files."""

from collections.abc import Mapping
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
)

from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin, RotationType
from agent.keys.key import Alias, Key, KeyMaterial

SCHEMA_VERSION: Final = 1

METADATA: Final = MetaData()

SCHEMA: Final = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("region", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("creation_date", Float, nullable=False),
    Column("creator_arn", String, nullable=False),
    Column("description", String, nullable=False),
    Column("key_state", String, nullable=False),
    Column("key_spec", String, nullable=False),
    Column("key_usage", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("key_manager", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("current_material_id", String, nullable=False),
    Column("multi_region", Boolean, nullable=False),
    Column("deletion_date", Float),
    Column("pending_window_days", Integer),
    Column("rotation_period_days", Integer),
    Column("next_rotation_date", Float),
    Column("on_demand_rotation_count", Integer, nullable=False),
)


def _belongs_to_key(key_id_column: str) -> ForeignKeyConstraint:
    # Deferred, so that a transaction may put things in any order.
    return ForeignKeyConstraint(
        ["region", key_id_column],
        ["keys.region", "keys.key_id"],
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    )


MATERIALS: Final = Table(
    "materials",
    METADATA,
    Column("material_id", String, primary_key=True),
    Column("key_id", String, nullable=False),
    Column("region", String, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("creation_date", Float, nullable=False),
    Column("rotation_type", String),
    Column("wrapped", LargeBinary, nullable=False),
    _belongs_to_key("key_id"),
    Index("materials_of_key", "region", "key_id", "generation", unique=True),
)

ALIASES: Final = Table(
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


def to_row(value: Key | KeyMaterial | Alias) -> dict[str, Any]:
    """Return a value as a row of its table; fields and columns have the same names."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def to_key(row: Mapping[str, Any]) -> Key:
    """Return the key in a row.

    Raises:
        ValueError: a word in it is unknown.
    """
    return Key(
        **dict(row)
        | {
            "key_state": KeyState(row["key_state"]),
            "key_spec": KeySpec(row["key_spec"]),
            "key_usage": KeyUsage(row["key_usage"]),
            "origin": Origin(row["origin"]),
            "key_manager": KeyManager(row["key_manager"]),
        }
    )


def to_material(row: Mapping[str, Any]) -> KeyMaterial:
    """Return the key material in a row.

    Raises:
        ValueError: a word in it is unknown.
    """
    word = row["rotation_type"]
    return KeyMaterial(**dict(row) | {"rotation_type": None if word is None else RotationType(word)})


def to_alias(row: Mapping[str, Any]) -> Alias:
    """Return the alias in a row."""
    return Alias(**row)
