"""A real server, killed in the midst of pushes: several clients push without pause, and keep what got no 2xx.

What was acknowledged is judged, once or, where an answer was lost on its way, twice: at least once in. Each incident is
there once. Moments are drawn by a seed that is printed (`ODDLOG_SEED`); the clock is real, so no two runs are alike.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import orjson
import pytest

import oddlog
from real_server import Server
from small_shop import shop_lines

pytest.importorskip("uvicorn")
from oddlog.sources.spool import Spool
from oddlog.types import Tally

KILLS = int(os.environ.get("ODDLOG_KILLS", "5"))
SEED = int(os.environ.get("ODDLOG_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
CLIENTS = 4
IN_FLIGHT = (
    8  # pushes from the first that is not taken yet to the last that is begun: lines come that much out of order
)
MOST_PUSHED = 60  # lines: eight such pushes are half an hour of the shop
LATENESS = "1h"
CHECKPOINT_S = 5.0  # `worker.CHECKPOINT_S`: half of the kills fall around the first one after a start
ORDERS, ORDER_S = 420, 21  # of a block: 2.4 hours, so that what is odd in one is over in the next
BROKEN = 3  # orders at the end of each block


@dataclass
class Load:
    """What clients push, in order of time, and what became of it."""

    port: int
    draw: random.Random
    taken: list[str] = field(default_factory=list)  # acknowledged
    unsure: Counter[str] = field(default_factory=Counter)  # sent, and no answer came
    blocks: int = 0
    ends: threading.Event = field(default_factory=threading.Event)  # no further block with odd orders is begun
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _open: set[int] = field(default_factory=set)  # numbers of pushes that were begun and are not taken yet
    _begun: int = 0

    def start(self) -> None:
        self._pushes = self._cut()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for one in self._threads:
            one.start()

    def finish(self) -> None:
        """Finish the block in hand, and wait until all of it was taken."""
        self.ends.set()
        for one in self._threads:
            one.join()

    def _cut(self) -> Iterator[list[str]]:
        """Yield the lines of each push."""
        for texts in chain(self._blocks()):
            at = 0
            while at < len(texts):
                n = self.draw.randrange(5, MOST_PUSHED)
                yield texts[at : at + n]
                at += n

    def _blocks(self) -> Iterator[list[str]]:
        while not self.ends.is_set():
            start, self.blocks = self.blocks * ORDERS * ORDER_S, self.blocks + 1
            yield shop_lines(ORDERS, self.blocks, start=start, broken=BROKEN)
        # Time is that of the lines: an hour and more behind the last odd one ends what is open.
        yield shop_lines(ORDERS, self.blocks + 1, start=self.blocks * ORDERS * ORDER_S)

    def _client(self) -> None:
        """Push as shippers do: on one connection, again and again until it is taken."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while (mine := self._next()) is not None:
            number, texts = mine
            while not self._is_taken(line, texts):
                time.sleep(0.02)
            with self._turn:
                self.taken += texts
                self._open.discard(number)
                self._turn.notify_all()
        line.close()

    def _next(self) -> tuple[int, list[str]] | None:
        with self._turn:
            self._turn.wait_for(lambda: self._begun - min(self._open, default=self._begun) < IN_FLIGHT)
            texts = next(self._pushes, None)
            if texts is None:
                return None
            self._begun += 1
            self._open.add(self._begun)
            return self._begun, texts

    def _is_taken(self, line: http.client.HTTPConnection, texts: list[str]) -> bool:
        try:
            line.request("POST", "/v1/lines?source=shop", "".join(f"{text}\n" for text in texts).encode())
            answer = line.getresponse()
            answer.read()
        except ConnectionRefusedError:
            line.close()
            return False  # nobody is there: nothing was sent
        except (OSError, http.client.HTTPException):
            line.close()
            with self._turn:
                self.unsure.update(texts)
            return False
        return answer.status == 204


@pytest.fixture
def server(quick_model: Path, tmp_path: Path) -> Iterator[Server]:
    told = f"file:{tmp_path / 'told.jsonl'}"
    server = Server(quick_model, tmp_path / "data", "--lateness", LATENESS, "--sink", told)
    yield server
    server.process.kill()
    server.process.wait()


def keep(spool: Path, kept: Path) -> None:
    """Keep segments that the service will remove: whatever it has acknowledged is in one of them."""
    kept.mkdir(exist_ok=True)
    for path in spool.glob("*.spool"):
        if not (kept / path.name).exists():
            (kept / path.name).hardlink_to(path)


def lines_in(kept: Path) -> list[str]:
    spool, texts = Spool(kept, Tally()), []
    while some := spool.poll(100_000, 0.0).lines["text"].to_list():
        texts += some
    spool.close()
    return texts


def test_killed_in_the_midst_of_pushes_it_loses_nothing_and_stores_nothing_twice(
    server: Server, quick_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw, load, kept = random.Random(SEED), Load(server.port, random.Random(SEED)), tmp_path / "kept"
    with capsys.disabled():
        sys.stdout.write(f" [ODDLOG_SEED={SEED}, {KILLS} kills under load: ")
        sys.stdout.flush()
    load.start()
    for _ in range(KILLS):
        time.sleep(draw.choice([draw.uniform(0.0, 1.5), draw.uniform(CHECKPOINT_S - 0.5, CHECKPOINT_S + 1.0)]))
        keep(tmp_path / "data" / "spool", kept)
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        server.start()
    load.finish()
    keep(tmp_path / "data" / "spool", kept)
    server.wait_for(lambda: server.metric("oddlog_lines_behind") == 0)

    # In: everything that was acknowledged, and twice only what was sent and got no answer.
    texts = lines_in(kept)
    there = Counter(texts)
    assert len(load.taken) == len(set(load.taken))
    assert there.keys() == set(load.taken)
    twice = {text: n - 1 for text, n in there.items() if n > 1}
    assert {text: n for text, n in twice.items() if n > load.unsure[text]} == {}

    # Out: what one run over all that was kept finds; each of it once.
    log = tmp_path / "whole.log"
    log.write_text("".join(f"{text}\n" for text in texts))
    scores = oddlog.load(quick_model).detect(log).scores
    odd = set(scores.filter("is_anomaly")["key"])
    planted = [[f"ord-{b}{ORDERS + i:05d}" for i in range(BROKEN)] for b in range(1, load.blocks + 1)]
    assert set(chain(*planted)) <= odd
    server.wait_for(lambda: odd <= {key for one in server.incidents() for key in one["keys"]})
    found = server.incidents()
    keys = [key for one in found for key in one["keys"]]
    assert sorted(keys) == sorted(odd)  # none twice, and none that is usual
    assert len({one["id"] for one in found}) == len(found)
    # Each burst is one incident of its own; sessions that a kill has torn apart beside it may be odd with it.
    bursts = [[i for i, burst in enumerate(planted) if set(burst) & set(one["keys"])] for one in found]
    assert sorted(chain(*bursts)) == list(range(len(planted)))
    assert max(map(len, bursts)) == 1
    assert server.end(signal.SIGTERM) == 0
    told = Counter(
        (row["id"], row["change"]) for row in map(orjson.loads, (tmp_path / "told.jsonl").read_bytes().splitlines())
    )
    sent_again = sum(n - 1 for n in told.values())
    assert sent_again <= KILLS  # a letter that was on its way when the service was killed
    with capsys.disabled():
        sys.stdout.write(
            f"{len(load.taken):,} lines acknowledged, none lost; {load.unsure.total():,} sent without an answer,"
            f" {sum(twice.values()):,} of them came in twice; {len(found)} incidents, none twice;"
            f" {sent_again} letters sent twice] "
        )
