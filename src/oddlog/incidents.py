"""Verdicts that belong together become one incident, the most pressing first.

**Pattern.** The *set* of template keys that make a window odd, not their counts: a storm of ten thousand failing
requests is a few patterns. An answer given to a pattern holds for all that share it.

**Order.** ``pressing = novelty × level × words``:

========  ==================================================================================================
factor    value
========  ==================================================================================================
novelty   −log10 of the p-value, at most 12
level     of the most severe odd line: TRACE, DEBUG 0.5 · UNKNOWN, INFO 1 · NOTICE 1.25 · WARNING 2 ·
          ERROR 4 · CRITICAL 5
words     2 if an odd line holds a word of ``words.txt`` (version 1), else 1
========  ==================================================================================================

**Urgency.** An *alert* is what is CRITICAL; counts, shares and silences that are odd, for minutes at least; and three
windows (or lines) in a row that are odd by a WARNING or worse or by a word of the list, with no more than two hours
between them. All else is a *notice*: harmless by its words, or over before anybody could have looked. Where counts
are not watched, nothing else tells what is many, and levels and words do not matter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

from oddlog.types import F64, I64, LEVELS, NO_SERVICE, NO_TIME, U8, Bool, Incident, source_name

MOST_NOVEL = 12.0
LEVEL_FACTOR = np.array([1.0, 0.5, 0.5, 1.0, 1.25, 2.0, 4.0, 5.0])
WORDS_FACTOR = 2.0
TOGETHER_US = 30 * 60 * 1_000_000  # windows that lead with the same oddity within half an hour are one incident
RECURRING_US = 4 * TOGETHER_US  # … and those of the same pattern within two hours
SEVERITIES = ((40.0, "critical"), (15.0, "high"), (6.0, "medium"), (0.0, "low"))  # from which severity on
SUSTAINED = 3  # times in a row, from which on something lasts
WARNING, CRITICAL = LEVELS.index("WARNING"), LEVELS.index("CRITICAL")

_TIME_ALONE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
assert len(LEVEL_FACTOR) == len(LEVELS)


@cache
def words() -> tuple[str, ...]:
    """Return the beginnings of words that make a line more pressing."""
    lines = files("oddlog").joinpath("words.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def alarming(texts: Sequence[str] | pl.Series) -> Bool:
    """Return which texts [x] hold a word of the list, at the beginning of a word.

    >>> alarming(["Connection refused by peer", "infoerror", "ok"]).tolist()
    [True, False, False]
    """
    series = pl.Series("text", texts, dtype=pl.String)
    # A word begins after anything but a letter, or where camelCase puts a capital.
    spaced = series.str.replace_all(r"([a-z0-9])([A-Z])", "$1 $2").str.to_lowercase()
    pattern = r"(?:^|[^a-z])(?:" + "|".join(word.replace("'", "['’]") for word in words()) + ")"
    return spaced.str.contains(pattern).fill_null(value=False).to_numpy()


def pressing(novelty: F64, level: U8, alarming_words: Bool) -> F64:
    """Return how pressing something is [x]; see the formula above.

    >>> pressing(np.array([3.0, 3.0]), np.array([3, 6], np.uint8), np.array([False, True])).tolist()
    [3.0, 24.0]
    """
    factor = LEVEL_FACTOR[level] * np.where(alarming_words, WORDS_FACTOR, 1.0)
    result: F64 = np.minimum(novelty, MOST_NOVEL) * factor
    return result


def severity_word(severity: float, urgency: str) -> str:
    """Return the word for a severity and an urgency.

    >>> severity_word(20.0, "alert"), severity_word(20.0, "notice")
    ('high', 'low')
    """
    if urgency == "notice":
        return SEVERITIES[-1][1]
    return next((word for least, word in SEVERITIES if severity >= least), SEVERITIES[-1][1])


def pattern_of(keys: Iterable[int]) -> str:
    """Return the name of a set of template keys: BLAKE2b-64 of the sorted keys, in hex.

    >>> pattern_of([3, 1, 3]) == pattern_of([1, 3])
    True
    """
    content = b"".join(key.to_bytes(8, "big") for key in sorted(set(map(int, keys))))
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def group(pattern: Sequence[str], oddities: Sequence[Sequence[str]], start_us: I64) -> I64:
    """Return the incident [x] each verdict belongs to, numbered by first appearance.

    Two belong together if they have the same pattern and no more than two hours lie between one verdict with it and
    the next, or if they share an oddity and no more than half an hour does. What is left of a pattern once and again,
    never `SUSTAINED` times in a row, is one incident however far apart. Without times the pattern alone decides.

    >>> minute = 60_000_000
    >>> group(["a", "b", "a", "c"], [["x"], ["y", "z"], ["x"], ["z"]], np.array([0, 0, 900, 20]) * minute).tolist()
    [0, 1, 0, 1]
    >>> group(["a"] * 5, [["x"]] * 5, np.array([0, 600, 610, 620, 1200]) * minute).tolist()
    [0, 1, 1, 1, 0]
    """
    joined = Joined(len(pattern))
    timed = np.flatnonzero(start_us != NO_TIME)
    for name, i in zip(pattern, range(len(pattern)), strict=True):
        if start_us[i] == NO_TIME:
            joined.by(f"untimed {name}", i)
    order = timed[np.argsort(start_us[timed], kind="stable")].tolist()
    for i in order:
        joined.by_within(f"pattern {pattern[i]}", i, int(start_us[i]), RECURRING_US)
        for oddity in oddities[i]:
            joined.by_within(f"oddity {oddity}", i, int(start_us[i]), TOGETHER_US)
    sizes = np.bincount([joined.root(i) for i in range(len(pattern))], minlength=len(pattern))
    alone = [i for i in range(len(pattern)) if sizes[joined.root(i)] < SUSTAINED]
    for i in alone:
        joined.by(f"again {pattern[i]}", i)
    return joined.numbers()


def lasts(time_us: I64) -> bool:
    """Return whether so many things, at these times [x], come in a row that it is more than a moment.

    >>> minute = 60_000_000
    >>> lasts(np.array([0, 70, 130]) * minute), lasts(np.array([0, 70, 300]) * minute)
    (True, False)
    """
    if len(time_us) < SUSTAINED:
        return False
    at = np.sort(time_us)
    if at[-1] == NO_TIME:
        return True
    near = np.concatenate([[False], np.diff(at) <= RECURRING_US, [False]]).astype(np.int8)
    edge = np.flatnonzero(np.diff(near))
    return bool(len(edge)) and int((edge[1::2] - edge[::2]).max()) + 1 >= SUSTAINED


class Joined:
    """Which of `n` things belong together (a disjoint-set forest)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))
        self._last: dict[str, tuple[int, int]] = {}

    def root(self, i: int) -> int:
        """Return the first of those that belong together with `i`."""
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def by(self, name: str, i: int) -> None:
        """Join `i` with all that were joined by this name."""
        self.by_within(name, i, 0, 0)

    def by_within(self, name: str, i: int, at: int, distance: int) -> None:
        """Join `i` with the last one that was joined by this name, if it is not too far away."""
        before, then = self._last.get(name, (i, at))
        if at - then <= distance:
            self.join(before, i)
        self._last[name] = (i, at)

    def join(self, i: int, j: int) -> None:
        """Join two, and all that belong together with them."""
        low, high = sorted((self.root(i), self.root(j)))
        self._parent[high] = low

    def numbers(self) -> I64:
        """Return a number for each thing, the same of those that belong together, by first appearance."""
        order: dict[int, int] = {}
        return np.array([order.setdefault(self.root(i), len(order)) for i in range(len(self._parent))], np.int64)


def where(incident: Incident) -> str:
    """Return what an incident is of where no line names a service: the file if all its lines are of one."""
    if incident.services:
        return ", ".join(incident.services[:3])
    sources = {line.source for line in incident.lines}
    return source_name(sources.pop()) if len(sources) == 1 else NO_SERVICE


def keyed(incident: Incident) -> str:
    """Return an incident's key with what it is of in front of the time; the key of lines without a service has none."""
    at = incident.key.removeprefix(f"{NO_SERVICE}@")
    alone = not incident.services and _TIME_ALONE.fullmatch(at)
    return f"{where(incident)}@{at}" if alone else incident.key
