"""A PostgreSQL server that is started for tests, stopped, and stopped from answering."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest


class Postgres:
    """A PostgreSQL server on loopback, with its data in a temporary folder; it never runs as root."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._user = programs, getpass.getuser() if os.getuid() else "postgres"
        self._folder = Path(tempfile.mkdtemp(prefix="oddlog-pg-"))
        if not os.getuid():
            owner = pwd.getpwnam(self._user)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._data = self._folder / "data"
        self._run("initdb", "-D", self._data, "-U", "oddlog", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql://oddlog:not-asked@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", self._folder / "log", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def signal(self, number: int) -> None:
        """Send a signal to the server and to each of its processes."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(first, number)
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == first:
                    os.kill(int(path.parent.name), number)

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *words: object) -> None:
        subprocess.run([str(self._programs / program), *map(str, words)],
                       user=self._user if not os.getuid() else None, cwd=self._folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)  # fmt: skip


def start_postgres() -> Postgres:
    """Start a server; a machine without one skips."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    return Postgres(found[-1].parent)
