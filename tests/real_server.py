"""`oddlog serve` as a real process, for tests that kill it or take away what it stands on. They wait for the clock."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

RUN = [sys.executable, "-c", "from oddlog.cli import main; main()", "serve"]
PATIENCE_S = 90.0


def free_port() -> int:
    """A port below those that clients connect from: one that tries again and again while nobody listens there would
    else be given the very port it asks for, connect to itself, and keep the server from it."""
    while True:
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", random.SystemRandom().randrange(20_000, 32_000)))
            return int(free.getsockname()[1])


class Server:
    """`oddlog serve` in a process of its own, on one folder and one port.

    Without a `model` it is that in the folder; `words` are further options; `before` is a command that runs it.
    """

    def __init__(self, model: Path | None, data: Path, *words: str, before: Sequence[str] = ()) -> None:
        self.port = free_port()
        named = [] if model is None else ["-m", str(model)]
        self._command = [*before, *RUN, *named, "--data", str(data), "--port", str(self.port), *words]
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self._command, env=environment, stderr=subprocess.DEVNULL)
        self.wait_for(lambda: self.get("/readyz") == "ok")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def says(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """What an address answers, whatever it is: the status and the text."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def incidents(self) -> list[dict[str, Any]]:
        return json.loads(self.get("/v1/incidents?limit=1000"))["incidents"]

    def push(self, texts: list[str]) -> bool:
        """Return whether lines were acknowledged."""
        try:
            with urllib.request.urlopen(self._pushed(texts), timeout=10) as answer:
                return answer.status == 204
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def refuses(self, texts: list[str]) -> tuple[int, str, str]:
        """How lines are refused: the status, when to come again, and why."""
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(self._pushed(texts), timeout=10)
        with refused.value as answer:
            return answer.code, answer.headers.get("Retry-After", ""), json.loads(answer.read())["error"]

    def _pushed(self, texts: list[str]) -> urllib.request.Request:
        body = "".join(f"{text}\n" for text in texts).encode()
        return urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/lines?source=shop", body, method="POST")

    def metric(self, name: str) -> float:
        rows = self.get("/metrics").splitlines()
        return next(float(row.split()[-1]) for row in rows if row.split(" ")[0] == name)

    def wait_for(self, holds: object) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.05)
        raise AssertionError("the server did not do it in time")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)
