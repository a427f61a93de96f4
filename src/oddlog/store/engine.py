"""Opening the database, writing to it, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

import re
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

WAIT_S = 30  # for a lock that somebody else holds
_LOOK = "Free space, or look at --data and --store."
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
    ) -> None:
        self._clock = clock
        try:
            self._engine = _engine(where, tenant)
            with self._engine.begin() as connection:
                _alone(connection, tenant)
                migrate(connection, _shown(where))
        except sa.exc.DBAPIError as error:
            raise InputError(
                f"The store {_shown(where)} cannot be opened: {_why(error)}.", "Give another --data or --store."
            ) from error

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
        except sa.exc.DBAPIError as error:
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
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreUnavailableError(f"Nothing can be stored: {_why(error)}.", _LOOK) from error

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """Return a value that is kept; `make` makes it where there is none yet."""
        table = tables.settings
        with self.writing() as connection:
            connection.execute(self.insert(table).values(name=name, value=make()).on_conflict_do_nothing())
            return str(connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar_one())

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _engine(where: Path | str, tenant: str) -> sa.Engine:
    url = str(where)
    if "://" not in url:
        engine = sa.create_engine(f"sqlite:///{where}", connect_args={"timeout": WAIT_S})
        sa.event.listen(engine, "connect", _prepare)
        return engine
    asked = _address(url)
    try:
        engine = sa.create_engine(asked, pool_pre_ping=True, connect_args={"connect_timeout": WAIT_S})
    except ImportError as error:
        raise MissingExtraError("A store in PostgreSQL", "postgres") from error
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
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7161535)"))
        if tenant:
            connection.execute(sa.schema.CreateSchema(f"oddlog_{tenant}", if_not_exists=True))


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _shown(where: Path | str) -> str:
    """Return where a store is, without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", str(where))


def _why(error: sa.exc.DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:300].rstrip(".")
