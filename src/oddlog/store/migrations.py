"""How a database of an older oddlog becomes one of today: a step for each version, in one transaction.

What was released is never changed. A step makes what is not there: a new database gets today's tables at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from oddlog.errors import InputError
from oddlog.store import tables

AT_ONCE = 1_000
MOST_NAME = 256  # characters of a service's or host's name that are kept to look for it


def _first(connection: sa.Connection) -> None:
    tables.every.create_all(connection, [tables.incidents, tables.checkpoint])


def _with_letters(connection: sa.Connection) -> None:
    tables.every.create_all(connection, [tables.letters])


def _with_pages(connection: sa.Connection) -> None:
    """Incidents can be looked for; what went by is kept, and who may ask."""
    incidents = tables.incidents
    there = {column["name"] for column in sa.inspect(connection).get_columns("incidents", schema=_schema(connection))}
    for column in (incidents.c.ended, incidents.c.urgency):
        if column.name not in there:
            _add(connection, column)
    for index in incidents.indexes:
        index.create(connection, checkfirst=True)
    tables.every.create_all(connection)
    body = sa.select(incidents.c.id, incidents.c.body)
    for part in connection.execute(body).partitions(AT_ONCE):
        for row in part:
            incident = orjson.loads(row.body)
            found = {"ended": as_iso(incident.get("end")), "urgency": incident.get("urgency") or "alert"}
            connection.execute(sa.update(incidents).where(incidents.c.id == row.id).values(found))
            for place in places_of(row.id, incident):
                connection.execute(sa.insert(tables.places).values(place))


def _with_challengers(connection: sa.Connection) -> None:
    tables.every.create_all(connection, [tables.challenged])


_STEPS: tuple[Callable[[sa.Connection], object], ...] = (_first, _with_letters, _with_pages, _with_challengers)


def migrate(connection: sa.Connection, where: str) -> None:
    """Bring a database up to date.

    Raises
    ------
    InputError
        If a later oddlog has written it.

    """
    tables.version.create(connection, checkfirst=True)
    number = connection.execute(sa.select(tables.version.c.number)).scalar()
    if number is not None and number > len(_STEPS):
        raise InputError(
            f"The store {where} was written by a later oddlog (version {number}).",
            "Update oddlog, or give another --data.",
        )
    for step in _STEPS[number or 0 :]:
        step(connection)
    if number is None:
        connection.execute(sa.insert(tables.version).values(number=len(_STEPS)))
    elif number < len(_STEPS):
        connection.execute(sa.update(tables.version).values(number=len(_STEPS)))


def places_of(id_: str, incident: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows of `tables.places` of an incident."""
    named = {(kind, str(name)[:MOST_NAME]) for kind in ("service", "host") for name in incident.get(f"{kind}s") or ()}
    return [{"incident": id_, "kind": kind, "name": name} for kind, name in sorted(named)]


def as_iso(time: str | None) -> str:
    """Return a time out of an incident's JSON as the tables have it.

    >>> as_iso("2026-03-03T14:00:08Z"), as_iso(None)
    ('2026-03-03T14:00:08+00:00', '')
    """
    return (time or "").replace("Z", "+00:00")


def _add(connection: sa.Connection, column: sa.Column[Any]) -> None:
    quoted = connection.dialect.identifier_preparer
    table = quoted.quote(column.table.name)
    schema = _schema(connection)
    if schema:
        table = f"{quoted.quote(schema)}.{table}"
    made = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
    connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {made}"))


def _schema(connection: sa.Connection) -> str | None:
    found: str | None = connection.get_execution_options().get("schema_translate_map", {}).get(None)
    return found
