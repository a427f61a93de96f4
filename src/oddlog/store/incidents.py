"""Incidents: found page by page, by time, service, host, pattern and answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from oddlog.errors import ConfigError
from oddlog.store.engine import Database
from oddlog.store.migrations import MOST_NAME, places_of
from oddlog.store.tables import answered, closeups, incidents, places
from oddlog.types import LiveIncident

GOING = ("new", "grown")
MOST_NAMES = 500  # services or hosts to choose from
_AT_ONCE = 500  # answered patterns, of a statement
_FIELDS = ("id", "change", "provisional", "severity", "pattern", "urgency", "stored", "updated", "times")


@dataclass(frozen=True)
class Stored:
    """An incident as it is stored, for those who show it."""

    id: str
    change: str
    provisional: bool
    severity: float
    pattern: str
    urgency: str
    stored: str
    updated: str
    times: int
    incident: Mapping[str, Any]
    answer: str = ""  # what holds for its pattern now

    @property
    def is_going(self) -> bool:
        """Whether it goes on."""
        return self.change in GOING


@dataclass(frozen=True)
class Asked:
    """Which incidents are asked for; what is empty does not matter.

    Attributes
    ----------
    state : str
        "going" on, "over", or "withdrawn" (usual after all); empty for the first two.
    since, until : datetime or None
        Of the time that the incident lasted some lies in between.
    service, host, pattern, urgency : str
        See `types.Incident`.
    answer : str
        "open" without what is called usual or muted, "usual", "mute", "anomalous".
    order : str
        "latest" changed first, or most "pressing" first.
    limit : int
        So many at most.
    after : str
        `Page.next` of the page before.

    """

    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    service: str = ""
    host: str = ""
    pattern: str = ""
    urgency: str = ""
    answer: str = ""
    order: Literal["latest", "pressing"] = "latest"
    limit: int = 100
    after: str = ""


@dataclass(frozen=True)
class Page:
    """Some of the incidents that were asked for, how many there are in all, and where to go on."""

    rows: Sequence[Stored]
    total: int
    next: str = ""


class Incidents(Database):
    """The part of a store that people look into."""

    def page(self, asked: Asked) -> Page:
        """Return a page of incidents.

        Raises
        ------
        ConfigError
            If `asked.after` is none of ours.

        """
        holds = self._holding().subquery()
        joined = incidents.outerjoin(holds, holds.c.pattern == incidents.c.pattern)
        wanted = [*_conditions(asked), *_answer_conditions(asked.answer, holds.c.answer)]
        order = _ORDERS[asked.order]
        rows = sa.select(incidents, holds.c.answer).select_from(joined).where(*wanted)
        rows = rows.order_by(*(column.desc() if falls else column.asc() for column, falls in order))
        if asked.after:
            rows = rows.where(_behind(order, _cursor(asked.after, len(order))))
        with self.reading() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(joined).where(*wanted)).scalar_one()
            found = list(connection.execute(rows.limit(asked.limit + 1)))
        shown = found[: asked.limit]
        more = _as_cursor([getattr(shown[-1], column.name) for column, _ in order]) if len(found) > len(shown) else ""
        return Page([stored(row) for row in shown], int(total), more)

    def incidents(self, limit: int = 100, *, every: bool = False) -> list[Stored]:
        """Return the incidents last changed, the latest first; withdrawn ones only if `every` is asked for."""
        asked = sa.select(incidents, sa.literal("").label("answer"))
        asked = asked.order_by(incidents.c.updated.desc(), incidents.c.severity.desc()).limit(limit)
        if not every:
            asked = asked.where(incidents.c.change != "withdrawn")
        with self.reading() as connection:
            return [stored(row) for row in connection.execute(asked)]

    def going(self) -> list[tuple[str, Stored]]:
        """Return what goes on, each with the id of the model that told of it."""
        asked = sa.select(incidents, sa.literal("").label("answer")).where(incidents.c.change.in_(GOING))
        with self.reading() as connection:
            return [(row.model, stored(row)) for row in connection.execute(asked.order_by(incidents.c.id))]

    def incident(self, id_: str) -> Stored | None:
        """Return one incident."""
        holds = self._holding().subquery()
        joined = incidents.outerjoin(holds, holds.c.pattern == incidents.c.pattern)
        asked = sa.select(incidents, holds.c.answer).select_from(joined).where(incidents.c.id == id_)
        with self.reading() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else stored(row)

    def closeup(self, id_: str) -> Mapping[str, Any]:
        """Return what was kept of an incident from near; nothing where nothing was."""
        with self.reading() as connection:
            body = connection.execute(sa.select(closeups.c.body).where(closeups.c.incident == id_)).scalar()
        found: Mapping[str, Any] = orjson.loads(body) if body else {}
        return found

    def names(self, kind: Literal["service", "host"]) -> list[str]:
        """Return the services or hosts that incidents name, those of most incidents first."""
        n = sa.func.count()
        asked = sa.select(places.c.name).where(places.c.kind == kind).group_by(places.c.name)
        with self.reading() as connection:
            return list(connection.execute(asked.order_by(n.desc(), places.c.name).limit(MOST_NAMES)).scalars())

    def set_answers(self, holding: Mapping[str, tuple[str, float | None]]) -> None:
        """Note which answers hold: by pattern the answer and until when (seconds since the epoch)."""
        rows = [{"pattern": one, "answer": answer, "until": until} for one, (answer, until) in holding.items()]
        with self.writing() as connection:
            connection.execute(sa.delete(answered))
            for i in range(0, len(rows), _AT_ONCE):
                connection.execute(sa.insert(answered), rows[i : i + _AT_ONCE])

    def write_incidents(
        self, connection: sa.Connection, model: str, told: Sequence[LiveIncident], near: Mapping[str, Any], now: str
    ) -> None:
        """Write incidents, and what is known of them from near, in the transaction of `connection`."""
        if told:  # one statement for all: to make one costs more than to write a row
            new = self.insert(incidents)
            changed: dict[str, Any] = {
                name: new.excluded[name] for name in _row(model, told[0], now) if name not in ("id", "stored", "times")
            }
            changed["times"] = incidents.c.times + 1
            put = new.on_conflict_do_update(index_elements=["id"], set_=changed)
            connection.execute(put, [_row(model, one, now) for one in told])
        last = {one.incident.id: one.incident for one in told}
        ids = list(last)
        for i in range(0, len(ids), _AT_ONCE):
            connection.execute(sa.delete(places).where(places.c.incident.in_(ids[i : i + _AT_ONCE])))
        named = [
            place
            for id_, one in last.items()
            for place in places_of(id_, {"services": one.services, "hosts": one.hosts})
        ]
        if named:
            connection.execute(sa.insert(places), named)
        if near:
            put = self.insert(closeups)
            put = put.on_conflict_do_update(index_elements=["incident"], set_={"body": put.excluded.body})
            connection.execute(put, [{"incident": id_, "body": _json(closeup)} for id_, closeup in near.items()])

    def _holding(self) -> sa.Select[Any]:
        now = self._clock().timestamp()
        return sa.select(answered).where(sa.or_(answered.c.until.is_(None), answered.c.until > now))


_ORDERS: dict[str, list[tuple[sa.Column[Any], bool]]] = {
    "latest": [(incidents.c.updated, True), (incidents.c.severity, True), (incidents.c.id, False)],
    "pressing": [(incidents.c.urgency, False), (incidents.c.severity, True), (incidents.c.id, False)],
}


def _conditions(asked: Asked) -> list[sa.ColumnElement[bool]]:
    states = {"going": GOING, "over": ("over",), "withdrawn": ("withdrawn",)}.get(asked.state, (*GOING, "over"))
    found: list[sa.ColumnElement[bool]] = [incidents.c.change.in_(states)]
    # What has no time is found by when it was told.
    start = sa.case((incidents.c.started == "", incidents.c.stored), else_=incidents.c.started)
    end = sa.case((incidents.c.ended == "", incidents.c.updated), else_=incidents.c.ended)
    if asked.since is not None:
        found.append(end >= asked.since.isoformat())
    if asked.until is not None:
        found.append(start <= asked.until.isoformat())
    for kind in ("service", "host"):
        name = getattr(asked, kind)[:MOST_NAME]
        if name:
            here = sa.select(places.c.incident).where(places.c.kind == kind, places.c.name == name)
            found.append(incidents.c.id.in_(here))
    if asked.pattern:
        found.append(incidents.c.pattern == asked.pattern)
    if asked.urgency:
        found.append(incidents.c.urgency == asked.urgency)
    return found


def _answer_conditions(answer: str, holds: sa.ColumnElement[str]) -> list[sa.ColumnElement[bool]]:
    if not answer:
        return []
    return [sa.or_(holds.is_(None), holds == "anomalous")] if answer == "open" else [holds == answer]


def _behind(order: list[tuple[sa.Column[Any], bool]], at: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition for what comes behind `at` in an order of (column, whether it falls)."""
    ways = []
    for i, (column, falls) in enumerate(order):
        same = [before == at[j] for j, (before, _) in enumerate(order[:i])]
        ways.append(sa.and_(*same, column < at[i] if falls else column > at[i]))
    return sa.or_(*ways)


def _as_cursor(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _cursor(text: str, n: int) -> list[Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        found = None
    kinds = (str, float, int)
    if not isinstance(found, list) or len(found) != n or not all(isinstance(one, kinds) for one in found):
        raise ConfigError(f"'{text[:40]}' is no place to go on from.", "Give `next` of the page before.")
    if not isinstance(found[0], str) or isinstance(found[1], str) or not isinstance(found[2], str):
        raise ConfigError(f"'{text[:40]}' is no place to go on from.", "Give `next` of the page before.")
    return found


def _row(model: str, told: LiveIncident, now: str) -> dict[str, Any]:
    incident = told.incident
    return {
        "id": incident.id,
        "model": model,
        "change": told.change,
        "provisional": told.provisional,
        "severity": float(incident.severity),
        "pattern": incident.pattern,
        "started": "" if incident.start is None else incident.start.isoformat(),
        "ended": "" if incident.end is None else incident.end.isoformat(),
        "urgency": incident.urgency,
        "stored": now,
        "updated": now,
        "times": 1,
        "body": _json(incident.fields()),
    }


def stored(row: sa.Row[Any]) -> Stored:
    """Return a row as those who show it expect it."""
    fields = {name: getattr(row, name) for name in _FIELDS}
    return Stored(**fields, incident=orjson.loads(row.body), answer=row.answer or "")


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
