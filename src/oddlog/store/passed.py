"""What went by: lines, scores, types and sources, added up by minute and by day; windows on their way to Parquet."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from oddlog.store import tables
from oddlog.store.engine import Database
from oddlog.types import Passed

MINUTE_S, DAY_S = 60.0, 86_400.0
AT_ONCE = 1_000
MOST_NAME = 256


@dataclass(frozen=True)
class Scored:
    """Windows that were judged: the numbers of the first and the last part of them, and of how many parts."""

    first: int
    last: int
    n: int
    windows: pl.DataFrame


class Passing(Database):
    """The part of a store that lines over time are drawn from."""

    def write_passed(self, connection: sa.Connection, passed: Passed, now: float) -> None:
        """Add what went by to what is there, in the transaction of `connection`."""
        short = passed.minutes.with_columns(pl.col("service").fill_null("").str.head(MOST_NAME))
        minutes = short.group_by("minute", "service", maintain_order=True).sum().to_dicts()
        self._add(connection, tables.minutes, minutes, ("lines", "errors", "unseen"))
        self._add(connection, tables.scores, passed.scores.to_dicts(), ("windows", "odd"), highest=("top",))
        types = passed.types.to_dicts()
        self._add(connection, tables.types, types, ("lines",), highest=("last",), lowest=("first",))
        for row in passed.texts.to_dicts():
            put = self.insert(tables.texts).values(row | {"service": (row["service"] or "")[:MOST_NAME]})
            connection.execute(put.on_conflict_do_nothing())
        sources = [row | {"arrived": now} for row in passed.sources.to_dicts()]
        self._add(connection, tables.sources, sources, ("lines", "errors"), highest=("event", "arrived"))
        if len(passed.verdicts):
            body = io.BytesIO()
            passed.verdicts.write_ipc(body, compression="zstd")
            connection.execute(sa.insert(tables.scored).values(made=now, body=body.getvalue()))

    def _add(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: Sequence[Mapping[str, Any]],
        sums: Collection[str],
        *,
        highest: Collection[str] = (),
        lowest: Collection[str] = (),
    ) -> None:
        """Add rows to those of the same primary key."""
        if not rows:
            return
        put = self.insert(table)
        new, old = put.excluded, table.c
        changed: dict[str, Any] = {name: old[name] + new[name] for name in sums}
        for names, more in ((highest, True), (lowest, False)):
            for name in names:
                beyond = new[name] > old[name] if more else new[name] < old[name]
                changed[name] = sa.case((sa.or_(old[name].is_(None), beyond), new[name]), else_=old[name])
        put = put.on_conflict_do_update(index_elements=[column.name for column in table.primary_key], set_=changed)
        for i in range(0, len(rows), AT_ONCE):
            connection.execute(put, list(rows[i : i + AT_ONCE]))

    # -- to be shown -----------------------------------------------------------------------------------------

    def last_minute(self) -> int | None:
        """Return the last minute (since the epoch) that a line is of, or a window ended in."""
        with self.reading() as connection:
            asked = (sa.select(sa.func.max(table.c.minute)) for table in (tables.minutes, tables.scores))
            found = [connection.execute(one).scalar() for one in asked]
        return max((int(one) for one in found if one is not None), default=None)

    def minutes(self, since: int, until: int, step: int = 1, service: str = "") -> list[dict[str, Any]]:
        """Return ``minute lines errors unseen`` of the minutes from `since` to before `until`, by `step` of them."""
        table = tables.minutes
        wanted = [table.c.minute >= since, table.c.minute < until, *([table.c.service == service] if service else [])]
        sums = [sa.func.sum(table.c[name]).label(name) for name in ("lines", "errors", "unseen")]
        return self._by_step(table, sums, wanted, since, step)

    def scores(self, since: int, until: int, step: int = 1) -> list[dict[str, Any]]:
        """Return ``minute windows odd top`` of the minutes from `since` to before `until`, by `step` of them."""
        table = tables.scores
        sums = [sa.func.sum(table.c[name]).label(name) for name in ("windows", "odd")]
        wanted = [table.c.minute >= since, table.c.minute < until]
        return self._by_step(table, [*sums, sa.func.max(table.c.top).label("top")], wanted, since, step)

    def _by_step(
        self,
        table: sa.Table,
        what: Sequence[sa.ColumnElement[Any]],
        wanted: Sequence[sa.ColumnElement[bool]],
        since: int,
        step: int,
    ) -> list[dict[str, Any]]:
        at = table.c.minute - (table.c.minute - since) % step
        asked = sa.select(at.label("minute"), *what).where(*wanted).group_by(sa.text("1")).order_by(sa.text("1"))
        with self.reading() as connection:
            return [_numbers(row._mapping) for row in connection.execute(asked)]  # noqa: SLF001 - SQLAlchemy's public name

    def services(self, since: int, until: int) -> list[dict[str, Any]]:
        """Return ``service lines errors unseen`` of the minutes in between, those with most lines first."""
        table = tables.minutes
        sums = [sa.func.sum(table.c[name]).label(name) for name in ("lines", "errors", "unseen")]
        asked = sa.select(table.c.service, *sums).where(table.c.minute >= since, table.c.minute < until)
        asked = asked.group_by(table.c.service).order_by(sums[0].desc(), table.c.service)
        with self.reading() as connection:
            return [_numbers(row._mapping) for row in connection.execute(asked)]  # noqa: SLF001

    def types(self, since_day: int) -> list[dict[str, Any]]:
        """Return ``key lines first last text level service`` of the types seen from a day on; text where unseen."""
        table, texts = tables.types, tables.texts
        seen = (
            sa.select(
                table.c.key,
                sa.func.sum(table.c.lines).label("lines"),
                sa.func.min(table.c.first).label("first"),
                sa.func.max(table.c.last).label("last"),
            )
            .where(table.c.day >= since_day)
            .group_by(table.c.key)
            .subquery()
        )
        joined = seen.outerjoin(texts, texts.c.key == seen.c.key)
        asked = sa.select(seen, texts.c.text, texts.c.level, texts.c.service).select_from(joined)
        with self.reading() as connection:
            return [_numbers(row._mapping) for row in connection.execute(asked)]  # noqa: SLF001

    def first_seen(self, keys: Sequence[str]) -> dict[str, float]:
        """Return when types were first seen here, seconds since the epoch."""
        table = tables.types
        found: dict[str, float] = {}
        with self.reading() as connection:
            for i in range(0, len(keys), AT_ONCE // 2):
                some = table.c.key.in_(keys[i : i + AT_ONCE // 2])
                asked = sa.select(table.c.key, sa.func.min(table.c.first)).where(some).group_by(table.c.key)
                found |= {key: float(first) for key, first in connection.execute(asked)}
        return found

    def sources(self) -> list[dict[str, Any]]:
        """Return ``name lines errors event arrived`` of all sources, the last heard of first."""
        table = tables.sources
        with self.reading() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.arrived.desc(), table.c.name))
            return [_numbers(row._mapping) for row in rows]  # noqa: SLF001

    # -- windows, on their way to Parquet --------------------------------------------------------------------

    def scored(self, most: int = AT_ONCE) -> Scored | None:
        """Return the oldest windows that were judged and are in no file yet, of `most` checkpoints."""
        table = tables.scored
        asked = sa.select(table.c.number, table.c.body).order_by(table.c.number).limit(most)
        with self.reading() as connection:
            rows = list(connection.execute(asked))
        if not rows:
            return None
        windows = pl.concat([pl.read_ipc(io.BytesIO(row.body)) for row in rows])
        return Scored(rows[0].number, rows[-1].number, len(rows), windows)

    def forget_scored(self, number: int) -> None:
        """Forget the windows that are in a file now."""
        with self.writing() as connection:
            connection.execute(sa.delete(tables.scored).where(tables.scored.c.number <= number))

    # -- retention -------------------------------------------------------------------------------------------

    def forget(self, before: datetime) -> int:
        """Forget what happened before a time; return how many incidents that were over.

        What went by is as old as the lines are among each other: logs of last year that are replayed today are not
        forgotten while they are judged.
        """
        at = before.timestamp()
        last = self.last_minute()
        passed = at if last is None else min(at, last * MINUTE_S - (self._clock().timestamp() - at))
        incidents = tables.incidents
        gone = (incidents.c.updated < before.isoformat()) & incidents.c.change.in_(("over", "withdrawn"))
        old = sa.select(incidents.c.id).where(gone)
        with self.writing() as connection:
            for table in (tables.places, tables.closeups):
                connection.execute(sa.delete(table).where(table.c.incident.in_(old)))
            n = connection.execute(sa.delete(incidents).where(gone)).rowcount
            for table in (tables.minutes, tables.scores):
                connection.execute(sa.delete(table).where(table.c.minute < passed // MINUTE_S))
            connection.execute(sa.delete(tables.types).where(tables.types.c.day < passed // DAY_S))
            kept = sa.select(tables.types.c.key)
            connection.execute(sa.delete(tables.texts).where(tables.texts.c.key.not_in(kept)))
            connection.execute(sa.delete(tables.sources).where(tables.sources.c.arrived < at))
            sent = tables.letters.c.state != "waiting"
            connection.execute(sa.delete(tables.letters).where(sent, tables.letters.c.written < at))
        return int(n)


def _numbers(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row with plain numbers: PostgreSQL adds up BIGINT as NUMERIC."""
    return {
        str(name): value if value is None or isinstance(value, str | float | int) else int(value)
        for name, value in row.items()
    }
