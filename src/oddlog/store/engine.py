"""Opening the database, writing to it, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from oddlog.errors import InputError, MissingExtraError, OddlogError
from oddlog.store import tables
from oddlog.store.migrations import migrate
from oddlog.store.place import PUT_BACK_S, Place

WAIT_S = 5  # for a lock that somebody else holds, or a server that does not answer: who waits judges nothing
ASKED_S = 60  # for what was asked of a server
_LOOK = "Free space, or look at --data and --store."
_PUT_BACK = f"Put it back; {PUT_BACK_S:.0f} s after it went a new one is begun."
_RESTART = "Start oddlog serve anew, if it is the right one."
_log = logging.getLogger("oddlog")
_FAILURES = (sa.exc.DBAPIError, sa.exc.TimeoutError)  # the second one: all connections are in use
# A server that has vanished is noticed within half a minute, not after the system's two hours (PostgreSQL, 34.1.2).
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class StoreUnavailableError(OddlogError):
    """Nothing can be stored just now: the disk is full, the file is locked, the server is gone."""


class Database:
    """A database and its clock.

    Parameters
    ----------
    where : Path or str
        The SQLite file, made if it is not there; or the URL of a PostgreSQL database
        (``postgresql://user:password@host/name``).
    clock : callable
        Returns the time.
    tenant : str
        On PostgreSQL its own schema, ``oddlog_TENANT``; a file is one tenant's anyway.
    steady : callable
        Seconds that never go back.

    Raises
    ------
    InputError
        If it is none of ours, or cannot be opened.

    """

    def __init__(
        self,
        where: Path | str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        tenant: str = "",
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._where, self._tenant = clock, where, tenant
        self._place: Place | None = None
        self._looking = threading.Lock()
        try:
            if "://" not in str(where):
                self._place = Place(Path(where), steady)
            self._engine = _engine(str(where), self._place, tenant)
            self._begin()
        except (*_FAILURES, OSError) as error:
            raise InputError(
                f"The store {_shown(where)} cannot be opened: {_why(error)}.", "Give another --data or --store."
            ) from error

    def _begin(self) -> None:
        """Make what is not there yet."""
        with self._engine.begin() as connection:
            _alone(connection, self._tenant)
            migrate(connection, _shown(self._where))

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self._engine.dialect.name == "sqlite"

    def insert(self, table: sa.Table) -> Any:
        """Return an INSERT that knows ON CONFLICT."""
        return _INSERT[self._engine.dialect.name](table)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection to read by.

        Raises
        ------
        StoreUnavailableError
            If there is nothing to read from.

        """
        try:
            with self._engine.connect() as connection:
                yield connection
        except _FAILURES as error:
            raise StoreUnavailableError(f"Nothing can be read: {_why(error)}.", _LOOK) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a connection; what is written by it is one transaction.

        Raises
        ------
        StoreUnavailableError
            If it cannot be written; nothing of it is.

        """
        try:
            self._require_place()
            with self._engine.begin() as connection:
                yield connection
        except (*_FAILURES, OSError) as error:
            raise StoreUnavailableError(f"Nothing can be stored: {_why(error)}.", _LOOK) from error

    def _require_place(self) -> None:
        """See that the file is the one that was opened; begin a new one where it is gone for good."""
        if self._place is None:
            return
        with self._looking:
            trouble = self._place.trouble
            if trouble:
                hint = _PUT_BACK if trouble.endswith("is gone") else _RESTART
                raise StoreUnavailableError(f"Nothing can be stored: {trouble}.", hint)
            if self._place.is_lost:
                self._engine.dispose()
                self._place.renew()
                self._begin()
                _log.error("%s was not put back: a new one is begun, without what was in it.", self._place.path)

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """Return a value that is kept; `make` makes it where there is none yet."""
        table = tables.settings
        with self.writing() as connection:
            connection.execute(self.insert(table).values(name=name, value=make()).on_conflict_do_nothing())
            return str(connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar_one())

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _engine(where: str, place: Place | None, tenant: str) -> sa.Engine:
    if place is not None:
        url = sa.URL.create("sqlite", database=place.address, query={"uri": "true", "mode": "rw"})
        engine = sa.create_engine(url, connect_args={"timeout": WAIT_S})
        sa.event.listen(engine, "connect", _prepare)
        return engine
    arguments = {"connect_timeout": WAIT_S, **_ALIVE}
    try:
        engine = sa.create_engine(_address(where), pool_pre_ping=True, pool_timeout=WAIT_S, connect_args=arguments)
    except ImportError as error:
        raise MissingExtraError("A store in PostgreSQL", "postgres") from error
    sa.event.listen(engine, "connect", _bound)
    return engine.execution_options(schema_translate_map={None: f"oddlog_{tenant}"}) if tenant else engine


def _address(url: str) -> sa.URL:
    try:
        asked = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputError(f"'{_shown(url)}' is no store.", _WRITE) from error
    if asked.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InputError(f"'{_shown(url)}' is no store: {asked.drivername} is not known.", _WRITE)
    return asked.set(drivername="postgresql+psycopg")


_WRITE = "Write --store postgresql://USER:PASSWORD@HOST/NAME, or leave it out for SQLite in --data."


def _alone(connection: sa.Connection, tenant: str) -> None:
    """Wait until nobody else migrates the same database, and make the tenant's schema."""
    if connection.dialect.name == "postgresql":
        for name in ("lock_timeout", "statement_timeout"):  # what is migrated may be large
            connection.execute(sa.text(f"SET LOCAL {name} = 0"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7161535)"))
        if tenant:
            connection.execute(sa.schema.CreateSchema(f"oddlog_{tenant}", if_not_exists=True))


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _bound(connection: Any, _record: Any) -> None:
    """Bound what is waited for, by statements: a pooler before the server knows no `options`."""
    connection.execute(f"SET lock_timeout = '{WAIT_S}s'")
    connection.execute(f"SET statement_timeout = '{ASKED_S}s'")
    connection.commit()


def _shown(where: Path | str) -> str:
    """Return where a store is, without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", str(where))


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, sa.exc.TimeoutError):
        return "all connections to it are in use"
    return " ".join(str(getattr(error, "orig", error)).split())[:300].rstrip(".")
