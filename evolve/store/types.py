"""Types of columns that have to mean the same in every database."""

from __future__ import annotations

from sqlalchemy import Dialect, Float
from sqlalchemy.types import TypeDecorator


class Real(TypeDecorator[float]):
    """A double without a sign of zero, which SQLite does not keep.

    Digests of two databases compare to the last bit.
    """

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002 - SQLAlchemy's
        """Return the value to store."""
        return None if value is None else value + 0.0
