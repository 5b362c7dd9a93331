"""Bringing a database to the newest schema, with alembic, inside one transaction.

Alembic takes long to import, so only a database that needs an upgrade loads it. Views are not
migrated: they are dropped before, and made anew from ``views.sql`` after. A change of
``views.sql`` therefore needs a revision of its own, even an empty one; that of a view which is no
more drops it.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, inspect

_HERE = Path(__file__).parent
_NAME = re.compile(r"^CREATE VIEW (\w+) AS", re.MULTILINE)


def upgrade(connection: Connection) -> None:
    """Apply all missing migrations; the caller's transaction commits them together."""
    from alembic import command
    from alembic.config import Config

    for view in _ours() & set(inspect(connection).get_view_names()):
        connection.exec_driver_sql(f'DROP VIEW "{view}"')
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    for statement in view_statements():
        connection.exec_driver_sql(statement)


def view_statements() -> list[str]:
    """Return the statements of ``views.sql``, one per view."""
    script = (_HERE / "views.sql").read_text(encoding="utf-8")
    return [statement for part in script.split(";\n") if (statement := part.strip())]


def _ours() -> set[str]:
    return {name for each in view_statements() for name in _NAME.findall(each)}
