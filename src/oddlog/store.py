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

KEPT_S = 30 * 86_400.0  # letters that were sent, so that none is sent twice

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

_letters = sa.Table(
    "letters",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True),  # the order they are sent in
    sa.Column("sink", sa.String, nullable=False),
    sa.Column("incident", sa.String(16), nullable=False),
    sa.Column("what", sa.String, nullable=False),  # one letter for each, however often it is found anew
    sa.Column("state", sa.String(8), nullable=False),  # waiting, sent, dead
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("written", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("said", sa.String, nullable=False),  # why it was not sent
    sa.Column("told", sa.LargeBinary, nullable=False),  # JSON
    sa.UniqueConstraint("sink", "incident", "what"),
    sa.Index("letters_by_state", "state", "sink", "due"),
)


def _first(connection: sa.Connection) -> None:
    _tables.create_all(connection, [_incidents, _checkpoint])


def _with_letters(connection: sa.Connection) -> None:
    _tables.create_all(connection, [_letters])


# Each takes the file from the version of its place to the next; what was released is never changed.
_MIGRATIONS: tuple[Callable[[sa.Connection], object], ...] = (_first, _with_letters)


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


@dataclass(frozen=True)
class Letter:
    """What a sink is to be told: `told` has ``incident``, ``change`` and ``provisional``."""

    number: int
    sink: str
    state: str
    tries: int
    written: float
    said: str
    told: Mapping[str, Any]


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

    def save(
        self,
        model: str,
        told: Iterable[LiveIncident],
        checkpoint: tuple[int, bytes] | None = None,
        sinks: Sequence[str] = (),
    ) -> None:
        """Store what happened to incidents, letters to sinks, and a checkpoint (position, state), in one transaction.

        Raises
        ------
        StoreUnavailableError
            If it cannot be stored; nothing of it is.

        """
        told, now = list(told), self._clock()
        rows = [_row(model, one, now.isoformat()) for one in told]
        letters = [_letter(one, sink, now.timestamp()) for one in told if one.notable for sink in sinks]
        try:
            self._save(model, rows, letters, checkpoint, now.isoformat())
        except sa.exc.DBAPIError as error:
            raise StoreUnavailableError(
                f"Nothing can be stored: {error.orig}.", "Free space, or look at --data."
            ) from error

    def _save(
        self,
        model: str,
        rows: list[dict[str, Any]],
        letters: list[dict[str, Any]],
        checkpoint: tuple[int, bytes] | None,
        now: str,
    ) -> None:
        with self._engine.begin() as connection:
            for letter in letters:
                connection.execute(insert(_letters).values(letter).on_conflict_do_nothing())
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

    # -- letters to sinks -------------------------------------------------------------------------------------

    def due(self, sinks: Sequence[str], now: float, limit: int = 50) -> list[Letter]:
        """Return letters to send now, in order; of one incident to one sink the first that waits."""
        waits = (_letters.c.state == "waiting") & _letters.c.sink.in_(sinks)
        firsts = sa.select(sa.func.min(_letters.c.number)).where(waits).group_by(_letters.c.sink, _letters.c.incident)
        asked = sa.select(_letters).where(_letters.c.number.in_(firsts), _letters.c.due <= now)
        return self._read_letters(asked.order_by(_letters.c.number).limit(limit))

    def letters(self, state: str, limit: int = 100) -> list[Letter]:
        """Return the last letters in a state: "waiting", "sent" or "dead"."""
        asked = sa.select(_letters).where(_letters.c.state == state).order_by(_letters.c.number.desc()).limit(limit)
        return self._read_letters(asked)

    def count_letters(self, state: str) -> int:
        """Return how many letters are in a state."""
        asked = sa.select(sa.func.count()).select_from(_letters).where(_letters.c.state == state)
        with self._engine.connect() as connection:
            return int(connection.execute(asked).scalar() or 0)

    def sent(self, number: int, now: float) -> None:
        """Note that a letter was sent; those sent long ago are forgotten."""
        old = (_letters.c.state == "sent") & (_letters.c.written < now - KEPT_S)
        self._change(sa.delete(_letters).where(old))
        self._change_letter(number, state="sent", said="")

    def put_off(self, number: int, due: float, said: str) -> None:
        """Note that a letter could not be sent, and when to try again."""
        self._change_letter(number, due=due, said=said, tries=_letters.c.tries + 1)

    def bury(self, number: int, said: str) -> None:
        """Put a letter to the dead ones: it is not tried again."""
        self._change_letter(number, state="dead", said=said)

    def _change_letter(self, number: int, **values: Any) -> None:
        self._change(sa.update(_letters).where(_letters.c.number == number).values(values))

    def _change(self, statement: sa.Executable) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(statement)
        except sa.exc.DBAPIError as error:
            said = f"Nothing can be stored: {error.orig}."
            raise StoreUnavailableError(said, "Free space, or look at --data.") from error

    def _read_letters(self, asked: sa.Select[Any]) -> list[Letter]:
        fields = ("number", "sink", "state", "tries", "written", "said")
        with self._engine.connect() as connection:
            return [
                Letter(**{name: getattr(row, name) for name in fields}, told=orjson.loads(row.told))
                for row in connection.execute(asked)
            ]

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


def _letter(told: LiveIncident, sink: str, now: float) -> dict[str, Any]:
    incident = told.incident
    size = "" if told.change == "new" else f" {incident.n_windows} {told.provisional} {incident.answer}"
    content = {"incident": asdict(incident), "change": told.change, "provisional": told.provisional}
    return {
        "sink": sink,
        "incident": incident.id,
        "what": f"{told.change}{size}",
        "state": "waiting",
        "tries": 0,
        "written": now,
        "due": now,
        "said": "",
        "told": orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z),
    }


def _stored(row: sa.Row[Any]) -> Stored:
    fields: Sequence[str] = ("id", "change", "provisional", "severity", "stored", "updated", "times")
    return Stored(**{name: getattr(row, name) for name in fields}, incident=orjson.loads(row.body))
