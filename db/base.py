"""The metadata that all tables share, and the column types that mean the same on SQLite and PostgreSQL.

Constraint and index names follow one convention, so that a migration can name what it changes on either dialect.
Texts that are sorted or compared carry PostgreSQL's "C" collation: both databases then order by code point, and a
page of results is the same wherever it is read.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Double, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeEngine

from models.quantities import ColumnKind

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted, by code point on both dialects."""

JSON_TEXT = Text()
"""JSON kept as text: it is handed through, never searched, and reads the same in both databases."""

UNIX_TIME: Double[float] = Double()
"""Seconds since 1970 UTC."""

COUNT = BigInteger()
"""A count or a position; a source may hold more rows than 32 bits can count."""

ARRAY = LargeBinary()
"""Little-endian array; `db.codec` knows type and shape."""

KIND_TYPES: dict[ColumnKind, TypeEngine[Any]] = {
    ColumnKind.NUMBER: Double(),
    ColumnKind.FLAG: Boolean(),
    ColumnKind.TEXT: KEY,
}
"""How a derived column of each kind is stored."""

INTEGER = Integer()
FLAG = Boolean()
NUMBER: Double[float] = Double()
