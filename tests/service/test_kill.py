"""A real server, killed again and again while lines are pushed: nothing acknowledged is lost, no incident is twice.

The one place that waits for the clock: another process has one of its own.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import oddlog
from real_server import Server
from small_shop import shop_lines

pytest.importorskip("uvicorn")
KILLS = int(os.environ.get("ODDLOG_KILLS", "5"))


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
    server.wait_for(lambda: odd <= {key for one in server.incidents() for key in one["keys"]})
    # the clock goes on: what the batch run calls open at the end is over here
    assert server.metric("oddlog_windows") >= len(whole.scores) - 3
    found = server.incidents()
    assert len({one["id"] for one in found}) == len(found) == len(whole.incidents)
    keys = [key for one in found for key in one["keys"]]
    assert len(keys) == len(set(keys))
    assert server.end(signal.SIGTERM) == 0
