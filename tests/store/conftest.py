"""Stores of both kinds: a file, and a PostgreSQL server that is started for the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postgres_server import start_postgres
from stored_incidents import Clock, live

pytest.importorskip("sqlalchemy")
from oddlog.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    server = start_postgres()
    yield server.url
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        kept = Store(tmp_path / "oddlog.db", clock)
    else:
        kept = Store(request.getfixturevalue("postgres"), clock, tenant=f"t{abs(hash(request.node.nodeid)) % 10**9}")
    yield kept
    kept.close()


@pytest.fixture
def fill(store: Store) -> Callable[..., None]:
    """Put in incidents of these numbers."""

    def put(*numbers: int, **fields: object) -> None:
        store.save("m", [live(n, **fields) for n in numbers])

    return put
