"""What the service keeps: incidents, and where it was when it last looked.

One SQLite file in WAL mode through SQLAlchemy Core. What belongs together is one transaction: a checkpoint is never
newer or older than the incidents that were found up to it. Needs the extra ``service``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from oddlog.errors import InputError, MissingExtraError, OddlogError
from oddlog.types import LiveIncident

try:
    import sqlalchemy as sa
    from sqlalchemy.dialects.sqlite import insert
except ImportError as error:
    raise MissingExtraError("The store", "service") from error

_tables = sa.MetaData()
_version = sa.Table("version", _tables, sa.Column("number", sa.Integer, nullable=False))
_incidents = sa.Table(
    "incidents",
    _tables,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("change", sa.String(16), nullable=False),  # new, grown, over, withdrawn
    sa.Column("provisional", sa.Boolean, nullable=False),
    sa.Column("severity", sa.Float, nullable=False),
    sa.Column("pattern", sa.String(16), nullable=False),
    sa.Column("started", sa.String(32), nullable=False),  # UTC, ISO 8601: sorts as text; empty where there is no time
    sa.Column("stored", sa.String(32), nullable=False),
    sa.Column("updated", sa.String(32), nullable=False),
    sa.Column("times", sa.Integer, nullable=False),  # how often it was told
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON
    sa.Index("incidents_by_time", "updated"),
)
_checkpoint = sa.Table(
    "checkpoint",
    _tables,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("stored", sa.String(32), nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

# Each takes the file from the version of its place to the next; what was released is never changed.
_MIGRATIONS: tuple[Callable[[sa.Connection], object], ...] = (_tables.create_all,)


@dataclass(frozen=True)
class Stored:
    """An incident as it is stored, for those who show it."""

    id: str
    change: str
    provisional: bool
    severity: float
    stored: str
    updated: str
    times: int
    incident: Mapping[str, Any]


class StoreUnavailableError(OddlogError):
    """Nothing can be stored just now: the disk is full, the file is locked or gone."""


class Store:
    """Keeps incidents and checkpoints.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    clock : callable
        Returns the time.

    Raises
    ------
    InputError
        If the file is none of ours, or cannot be opened.

    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        sa.event.listen(self._engine, "connect", _prepare)
        try:
            with self._engine.begin() as connection:
                _migrate(connection, path)
        except sa.exc.DBAPIError as error:
            raise InputError(f"The store {path} cannot be opened: {error.orig}.", "Give another --data.") from error

    def save(self, model: str, told: Iterable[LiveIncident], checkpoint: tuple[int, bytes] | None = None) -> None:
        """Store what happened to incidents, and a checkpoint (position, state), in one transaction.

        Raises
        ------
        StoreUnavailableError
            If it cannot be stored; nothing of it is.

        """
        now = self._clock().isoformat()
        try:
            self._save(model, [_row(model, one, now) for one in told], checkpoint, now)
        except sa.exc.DBAPIError as error:
            raise StoreUnavailableError(
                f"Nothing can be stored: {error.orig}.", "Free space, or look at --data."
            ) from error

    def _save(self, model: str, rows: list[dict[str, Any]], checkpoint: tuple[int, bytes] | None, now: str) -> None:
        with self._engine.begin() as connection:
            for row in rows:
                new = insert(_incidents).values(row)
                kept = ("id", "stored", "times")
                changed: dict[str, Any] = {name: new.excluded[name] for name in row if name not in kept}
                changed["times"] = _incidents.c.times + 1
                connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=changed))
            if checkpoint is not None:
                position, state = checkpoint
                values = {"model": model, "position": position, "stored": now, "state": state}
                put = insert(_checkpoint).values(values)
                connection.execute(put.on_conflict_do_update(index_elements=["model"], set_=values))

    def checkpoint(self, model: str) -> tuple[int, bytes] | None:
        """Return the last checkpoint (position, state) of a model."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_checkpoint).where(_checkpoint.c.model == model)).one_or_none()
        return None if row is None else (row.position, row.state)

    def last_position(self) -> int:
        """Return how far any model has come; 0 if none has."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(_checkpoint.c.position))).scalar() or 0)

    def incidents(self, limit: int = 100, *, every: bool = False) -> list[Stored]:
        """Return the incidents last changed, the latest first; withdrawn ones only if `every` is asked for."""
        asked = sa.select(_incidents).order_by(_incidents.c.updated.desc(), _incidents.c.severity.desc()).limit(limit)
        if not every:
            asked = asked.where(_incidents.c.change != "withdrawn")
        with self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(asked)]

    def incident(self, id_: str) -> Stored | None:
        """Return one incident."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_incidents).where(_incidents.c.id == id_)).one_or_none()
        return None if row is None else _stored(row)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: sa.Connection, path: Path) -> None:
    _version.create(connection, checkfirst=True)
    number = connection.execute(sa.select(_version.c.number)).scalar()
    if number is not None and number > len(_MIGRATIONS):
        raise InputError(
            f"The store {path} was written by a later oddlog (version {number}).",
            "Update oddlog, or give another --data.",
        )
    for migrate in _MIGRATIONS[number or 0 :]:
        migrate(connection)
    if number is None:
        connection.execute(sa.insert(_version).values(number=len(_MIGRATIONS)))
    elif number < len(_MIGRATIONS):
        connection.execute(sa.update(_version).values(number=len(_MIGRATIONS)))


def _row(model: str, told: LiveIncident, now: str) -> dict[str, Any]:
    incident = told.incident
    body = orjson.dumps(asdict(incident), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    return {
        "id": incident.id,
        "model": model,
        "change": told.change,
        "provisional": told.provisional,
        "severity": float(incident.severity),
        "pattern": incident.pattern,
        "started": "" if incident.start is None else incident.start.isoformat(),
        "stored": now,
        "updated": now,
        "times": 1,
        "body": body,
    }


def _stored(row: sa.Row[Any]) -> Stored:
    fields: Sequence[str] = ("id", "change", "provisional", "severity", "stored", "updated", "times")
    return Stored(**{name: getattr(row, name) for name in fields}, incident=orjson.loads(row.body))
