"""The metadata that all tables share, and the column types that mean the same on SQLite and PostgreSQL.

Constraint and index names follow one convention, so that a migration can name what it changes on either dialect.
Texts that are sorted or compared carry PostgreSQL's "C" collation: both databases then order by code point, and a
page of results is the same wherever it is read.
"""

from typing import Any

from sqlalchemy import REAL, BigInteger, Boolean, Dialect, Double, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from db.storage.packing import (
    deflate,
    from_order_code,
    inflate,
    nearest_single,
    order_code,
    pack_tensor,
    pack_text,
    unpack_tensor,
    unpack_text,
)
from models.quantities import ColumnKind, Tensor

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


class Float32(TypeDecorator[float]):
    """A number of single precision: REAL on PostgreSQL, on SQLite an integer of one to four bytes in its order."""

    impl = Double
    cache_ok = True

    @property
    def python_type(self) -> type[float]:
        """What a program sees."""
        return float

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """How the dialect keeps it."""
        return dialect.type_descriptor(Integer()) if dialect.name == "sqlite" else REAL()

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """To the database."""
        return order_code(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """From the database, the very float32: PostgreSQL sends the shortest text that reads back to it."""
        if value is None:
            return None
        return from_order_code(value) if dialect.name == "sqlite" else nearest_single(value)


class ComparedNumber(Float32):
    """A number that columns of single precision are compared with: itself, never rounded."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """How the dialect takes it."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Double())


class PackedArray(TypeDecorator[bytes]):
    """A little-endian array, deflated; `db.codec` knows type and shape."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else deflate(value)

    def process_result_value(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        """From the database."""
        return None if value is None else inflate(value)


class PackedTensor(TypeDecorator[bytes]):
    """A tensor as little-endian float64, of which the independent components are kept."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.tensor = tensor

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else pack_tensor(self.tensor, value)

    def process_result_value(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        """From the database."""
        return None if value is None else unpack_tensor(self.tensor, value)


class PackedText(TypeDecorator[str]):
    """A text that is handed through, never searched, deflated."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else pack_text(value)

    def process_result_value(self, value: bytes | None, _dialect: Dialect) -> str | None:
        """From the database."""
        return None if value is None else unpack_text(value)


BYTES = LargeBinary()
ARRAY = PackedArray()
SINGLE = Float32()
PACKED_TEXT = PackedText()

KIND_TYPES: dict[ColumnKind, TypeEngine[Any]] = {
    ColumnKind.NUMBER: SINGLE,
    ColumnKind.FLAG: Boolean(),
    ColumnKind.TEXT: KEY,
}
"""How a derived column of each kind is stored."""

INTEGER = Integer()
FLAG = Boolean()
NUMBER: Double[float] = Double()
