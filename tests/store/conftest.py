"""Stores of both kinds: a file, and a PostgreSQL server that is started for the tests."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stored_incidents import Clock, live

pytest.importorskip("sqlalchemy")
from oddlog.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server on loopback, with its data in a temporary folder; it never runs as root."""
    pytest.importorskip("psycopg")
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="oddlog-pg-"))
    user = getpass.getuser() if os.getuid() else "postgres"
    if not os.getuid():
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*words: object) -> None:
        subprocess.run(list(map(str, words)), user=user if not os.getuid() else None, cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)  # fmt: skip

    data = folder / "data"
    run(programs / "initdb", "-D", data, "-U", "oddlog", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run(programs / "pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log", "start")
    try:
        yield f"postgresql://oddlog:not-asked@127.0.0.1:{port}/postgres"
    finally:
        run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


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
