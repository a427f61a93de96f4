"""Every source keeps the contract of `types.Source`; one that does not is caught."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oddlog.sources import Pipe, Tail
from oddlog.sources.spool import Spool
from oddlog.testing import check_source
from oddlog.types import LINES, Batch, Tally

TEXTS = ["first", "second", "third", "fourth é", "x" * 1_000]


def test_the_tail_keeps_the_contract(tmp_path: Path):
    expected = [(str(tmp_path / name), f"{name} {text}") for name in ("a.log", "b.log") for text in TEXTS]
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("".join(f"{name} {text}\n" for text in TEXTS))
    check_source(lambda at: Tail([str(tmp_path)], Tally(), from_start=True, places=at), expected)


def test_a_pipe_keeps_the_contract_but_cannot_go_on():
    reads: list[int] = []

    def make(_: object) -> Pipe:
        read, write = os.pipe()
        os.write(write, "".join(f"{text}\n" for text in TEXTS).encode())
        os.close(write)
        reads.append(read)
        return Pipe(Tally(), read)

    check_source(make, [("-", text) for text in TEXTS], resumes=False)
    for read in reads:
        os.close(read)


def test_the_spool_keeps_the_contract(tmp_path: Path):
    spool = Spool(tmp_path, Tally())
    for text in TEXTS:
        spool.append([("a", [text])])
    spool.close()

    def make(at: int | None) -> Spool:
        again = Spool(tmp_path, Tally())
        again.seek(at or 0)
        return again

    check_source(make, [("a", text) for text in TEXTS])


class Wrong:
    """A source of three lines with a fault."""

    def __init__(self, fault: str, at: int | None) -> None:
        self.fault, self.at = fault, at or 0
        self.done = False

    def poll(self, _max_lines: int, _timeout_s: float) -> Batch:
        texts = ["one", "two", "three"][self.at :] if not self.done or self.fault == "twice" else []
        self.done = True
        numbers = [7] * len(texts) if self.fault == "positions" else list(range(1, len(texts) + 1))
        frame = pl.DataFrame(
            {"source": ["a"] * len(texts), "position": numbers, "line": numbers, "text": texts, "count": 1}
        )
        frame = frame.cast(dict(LINES)) if self.fault != "schema" else frame
        return Batch(frame, {1} if self.fault == "json" else 1 if self.fault == "resume" else 3)

    def commit(self, _position: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("twice", "handed over twice"),
        ("positions", "only grow"),
        ("schema", "columns of types.LINES"),
        ("resume", "from there on"),
    ],
)
def test_a_source_that_does_not_keep_it_is_caught(fault: str, said: str):
    with pytest.raises(AssertionError, match=said):
        check_source(lambda at: Wrong(fault, at), [("a", "one"), ("a", "two"), ("a", "three")])


def test_a_position_that_cannot_be_kept_is_caught():
    with pytest.raises(TypeError, match="JSON"):
        check_source(lambda at: Wrong("json", at), [("a", "one"), ("a", "two"), ("a", "three")])
