"""Usual windows made odd on purpose, to ask members what they would notice; never learned from, never in a figure.

::

    truncate   a b c d e f   →  a b c            the last third to half is lost
    drop       a b c d e f   →  a b d e f        one event is lost
    insert     a b c d e f   →  a b c x d e f    one event of another window comes in
    swap       a b c d e f   →  a b d c e f      two unlike neighbours change places (their times stay)
    scale      … 120 ms …    →  … 1,200 ms …     one number is ten times as large
    delay      a b c d e f   →  a b c      d e f ten times the longest pause, at least 10 s, comes in between
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from oddlog.pipeline.learning.distinct import sequence_hash
from oddlog.types import I64, NO_TIME, U64, Bool, Windows

LEAST_EVENTS = 3  # of a window that is worth corrupting
SCALE = 10.0
LONGEST_PAUSES = 10
LEAST_DELAY_US = 10_000_000

Draw = np.random.Generator
_EVENTS = ("template", "time_us", "level", "service", "source", "line", "numbers")  # what stands once an event


def corrupted(windows: Windows, usual: Windows, seed: int, k: int) -> dict[str, tuple[Windows, I64]]:
    """Return, by kind, the corrupted twins of `windows` [w] and the window each was made of [x].

    Windows that a kind cannot corrupt have no twin (no two unlike neighbours, no number, no time). Twins that, in
    types and order, are one of the `usual` windows again are left out: what usual windows do is no corruption.
    """
    known = _sequences(usual, k)
    found = {}
    for at, (kind, make) in enumerate(KINDS.items()):
        twins, of = make(windows, np.random.default_rng([seed, at]))
        if kind in REARRANGED:
            news = ~np.isin(_sequences(twins, k), known)
            twins, of = twins.take(news), of[news]
        found[kind] = (twins, of)
    return found


def _sequences(windows: Windows, k: int) -> U64:
    return sequence_hash(windows, frozenset({"template", "order"}), k)


def _long_enough(windows: Windows) -> I64:
    return np.flatnonzero(windows.lengths >= LEAST_EVENTS)


def _place(windows: Windows, draw: Draw, first: int, behind: int) -> I64:
    """Return a place [w] of each window, from `first` to before `behind` places from its end."""
    room = windows.lengths - first - behind
    return first + (draw.random(len(windows)) * room).astype(np.int64)


def _kept(windows: Windows, kept: Bool) -> Windows:
    """Return the windows with the events [e] that are kept."""
    lengths = np.bincount(windows.window_of_event[kept], minlength=len(windows))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return replace(windows, offsets=offsets, **{name: getattr(windows, name)[kept] for name in _EVENTS})


def _rank(windows: Windows) -> I64:
    return np.arange(len(windows.template)) - np.repeat(windows.offsets[:-1], windows.lengths)


def _truncate(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    of = _long_enough(windows)
    some = windows.take(of)
    length = np.maximum((some.lengths * draw.uniform(1 / 2, 2 / 3, len(some))).astype(np.int64), 1)
    twins = _kept(some, _rank(some) < np.repeat(length, some.lengths))
    ends = twins.time_us[twins.offsets[1:] - 1]
    return replace(twins, end=np.where(ends == NO_TIME, twins.end, ends)), of


def _drop(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    of = _long_enough(windows)
    some = windows.take(of)
    return _kept(some, _rank(some) != np.repeat(_place(some, draw, 0, 0), some.lengths)), of


def _insert(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    """Put an event of another window before a place; it takes the time of the one that stands there."""
    of = _long_enough(windows)
    some = windows.take(of)
    if not len(some):
        return some, of
    place = some.offsets[:-1] + _place(some, draw, 0, 0)
    taken = draw.integers(0, len(some.template), len(some))
    twins: dict[str, Any] = {
        name: np.insert(getattr(some, name), place, getattr(some, name)[taken], axis=0) for name in _EVENTS
    }
    twins["time_us"] = np.insert(some.time_us, place, some.time_us[place])
    return replace(some, offsets=some.offsets + np.arange(len(some) + 1), **twins), of


def _swap(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    unlike = np.flatnonzero((windows.template[1:] != windows.template[:-1]) & (np.diff(windows.window_of_event) == 0))
    # of each window's pairs of unlike neighbours the one with the smallest draw
    order = np.lexsort((draw.random(len(unlike)), windows.window_of_event[unlike]))
    of, at = np.unique(windows.window_of_event[unlike][order], return_index=True)
    long_enough = windows.lengths[of] >= LEAST_EVENTS
    of, left = of[long_enough], unlike[order][at][long_enough]
    index = np.arange(len(windows.template))
    index[left], index[left + 1] = left + 1, left
    swapped = {name: getattr(windows, name)[index] for name in _EVENTS if name != "time_us"}
    return replace(windows, **swapped).take(of), of


def _scale(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    event, number = np.nonzero(np.isfinite(windows.numbers) & (windows.numbers != 0))
    of_event = windows.window_of_event[event]
    order = np.lexsort((draw.random(len(event)), of_event))
    of, at = np.unique(of_event[order], return_index=True)
    chosen = order[at]
    numbers = windows.numbers.copy()
    numbers[event[chosen], number[chosen]] *= np.float32(SCALE)
    return replace(windows, numbers=numbers).take(of), of


def _delay(windows: Windows, draw: Draw) -> tuple[Windows, I64]:
    untimed = np.bincount(windows.window_of_event, windows.time_us == NO_TIME, minlength=len(windows)) > 0
    timed = np.flatnonzero((windows.lengths >= LEAST_EVENTS) & ~untimed)
    some = windows.take(timed)
    pause = np.diff(some.time_us, prepend=some.time_us[:1])
    pause[some.offsets[:-1]] = 0
    longest = np.maximum.reduceat(pause, some.offsets[:-1]) if len(some) else pause
    delay = np.maximum(LONGEST_PAUSES * longest, LEAST_DELAY_US)
    late = _rank(some) >= np.repeat(_place(some, draw, 1, 0), some.lengths)
    time_us = some.time_us + np.where(late, np.repeat(delay, some.lengths), 0)
    return replace(some, time_us=time_us, end=some.end + delay), timed


KINDS: dict[str, Callable[[Windows, Draw], tuple[Windows, I64]]] = {
    "truncate": _truncate,
    "drop": _drop,
    "insert": _insert,
    "swap": _swap,
    "scale": _scale,
    "delay": _delay,
}
REARRANGED = frozenset({"truncate", "drop", "insert", "swap"})
