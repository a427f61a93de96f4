"""What every source must keep to, as checks that anybody can run on one of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import polars as pl

from oddlog.types import LINES, Batch, Source

PATIENCE = 200  # empty polls after which no more lines are awaited
WAIT_S = 0.02
Rows = list[tuple[str, str]]


def check_source(make: Callable[[Any], Source], expected: Rows, *, resumes: bool = True) -> None:
    """Check that a source keeps the contract of `types.Source`.

    Parameters
    ----------
    make : callable
        Returns a new source of the same lines; given a position that another handed over, it goes on behind it,
        given None it begins with the first line.
    expected : list of (str, str)
        Source and text of each of the lines, three at least; in order within each source.
    resumes : bool
        Whether it can go on: what comes through a pipe is gone.

    Raises
    ------
    AssertionError
        If it does not.

    """
    assert len(expected) >= 3, "a check needs three lines at least"  # noqa: PLR2004
    with _opened(make, None) as source:
        batches = _drain(source, 1, len(expected))
        _check_frames(batches)
        _require_rows(_rows(batches), expected, "handed over a few at a time")
        _check_silence(source)
        for batch in batches:
            source.commit(batch.position)
            source.commit(batch.position)
    with _opened(make, None) as source:
        _require_rows(_rows(_drain(source, 10_000, len(expected))), expected, "handed over at once")
    if resumes:
        for i, batch in enumerate(batches, 1):
            # As a file or a database would keep it.
            _check_resumed(make, json.loads(json.dumps(batch.position)), _rows(batches[:i]), expected)


def _check_frames(batches: list[Batch]) -> None:
    for batch in batches:
        schema = batch.lines.schema
        assert schema == LINES, f"lines have the columns of types.LINES: {schema}"
        for text in batch.lines["text"]:
            assert text.strip(), "an empty line is dropped"
            assert "\n" not in text, f"a line has no line end in it: {text!r}"
    for (name,), lines in _by_source(batches):
        for column in ("position", "line"):
            values = lines[column].to_list()
            assert all(a < b for a, b in pairwise(values)), f"the {column}s of {name} only grow: {values}"


def _check_silence(source: Source) -> None:
    batch = source.poll(10, 0.0)
    assert batch.lines.schema == LINES, "without lines, the frame has their columns all the same"
    assert not len(batch.lines), f"nothing is handed over twice: {batch.lines['text'].to_list()}"


def _check_resumed(make: Callable[[Any], Source], position: Any, before: Rows, expected: Rows) -> None:
    with _opened(make, position) as source:
        after = _rows([*_drain(source, 10_000, len(expected) - len(before)), source.poll(10_000, WAIT_S)])
    _require_rows(before + after, expected, f"handed over up to {position!r} and, by another, from there on")


def _drain(source: Source, max_lines: int, n: int) -> list[Batch]:
    """Return the batches that hold the next `n` lines, and whatever comes with them."""
    found: list[Batch] = []
    silent = 0
    while n > 0 and silent < PATIENCE:
        batch = source.poll(max_lines, WAIT_S)
        silent = 0 if len(batch.lines) else silent + 1
        n -= len(batch.lines)
        if len(batch.lines):
            found.append(batch)
    return found


def _by_source(batches: list[Batch]) -> Iterator[tuple[tuple[object, ...], pl.DataFrame]]:
    whole = pl.concat([pl.DataFrame(schema=LINES), *(batch.lines for batch in batches)])
    yield from whole.group_by("source", maintain_order=True)


def _rows(batches: list[Batch]) -> Rows:
    return [row for batch in batches for row in batch.lines.select("source", "text").iter_rows()]


def _require_rows(found: Rows, expected: Rows, how: str) -> None:
    for name in sorted({source for source, _ in [*found, *expected]}):
        here, wanted = ([text for source, text in rows if source == name] for rows in (found, expected))
        assert here == wanted, f"the lines of {name}, {how}, are {wanted}: {here}"


@contextmanager
def _opened(make: Callable[[Any], Source], position: Any) -> Iterator[Source]:
    with ExitStack() as stack:
        source = make(position)
        close = getattr(source, "close", None)
        if close is not None:
            stack.callback(close)
            stack.callback(close)  # whoever ends twice does no harm
        yield source
