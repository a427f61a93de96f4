"""A real server, killed again and again while lines are pushed: nothing acknowledged is lost, no incident is twice.

The one place that waits for the clock: another process has one of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import oddlog
from small_shop import shop_lines

pytest.importorskip("uvicorn")
RUN = [sys.executable, "-c", "from oddlog.cli import main; main()", "serve"]
KILLS = int(os.environ.get("ODDLOG_KILLS", "5"))
PATIENCE_S = 90.0


class Server:
    """`oddlog serve` in a process of its own, on one folder and one port."""

    def __init__(self, model: Path, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [*RUN, "-m", str(model), "--data", str(data), "--port", str(self.port)]
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self._command, env=environment, stderr=subprocess.DEVNULL)
        self.wait_for(lambda: self.get("/readyz") == "ok")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def push(self, texts: list[str]) -> bool:
        """Return whether lines were acknowledged."""
        body = "".join(f"{text}\n" for text in texts).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/lines?source=shop", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status == 204
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

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


@pytest.fixture
def server(quick_model: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(quick_model, tmp_path / "data")
    yield server
    server.process.kill()
    server.process.wait()


def test_killed_at_random_moments_it_loses_nothing_and_stores_nothing_twice(
    server: Server, quick_model: Path, tmp_path: Path
):
    texts = shop_lines(300, 11, broken=4)
    draw = random.Random(5)
    kills = sorted(draw.sample(range(20, len(texts) - 60), KILLS))
    taken: list[str] = []
    at = 0
    while at < len(texts):
        n = draw.randrange(5, 60)
        some = texts[at : at + n]
        if kills and at >= kills[0]:
            kills.pop(0)
            time.sleep(draw.random())
            assert server.end(signal.SIGKILL) == -signal.SIGKILL
            assert not server.push(some)  # nobody is there: the shipper keeps it
            server.start()
        assert server.push(some)
        taken += some
        at += n
    assert taken == texts
    log = tmp_path / "whole.log"
    log.write_text("".join(f"{text}\n" for text in texts))
    whole = oddlog.load(quick_model).detect(log)
    odd = {key for one in whole.incidents for key in one.keys}
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)
    server.wait_for(lambda: odd <= {key for one in incidents(server) for key in one["keys"]})
    # the clock goes on: what the batch run calls open at the end is over here
    assert server.metric("oddlog_windows") >= len(whole.scores) - 3
    found = incidents(server)
    assert len({one["id"] for one in found}) == len(found) == len(whole.incidents)
    keys = [key for one in found for key in one["keys"]]
    assert len(keys) == len(set(keys))
    assert server.end(signal.SIGTERM) == 0


def incidents(server: Server) -> list[dict]:
    return json.loads(server.get("/v1/incidents"))["incidents"]
