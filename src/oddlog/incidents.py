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
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

from oddlog.types import F64, I64, LEVELS, NO_TIME, U8, Bool

MOST_NOVEL = 12.0
LEVEL_FACTOR = np.array([1.0, 0.5, 0.5, 1.0, 1.25, 2.0, 4.0, 5.0])
WORDS_FACTOR = 2.0
TOGETHER_US = 30 * 60 * 1_000_000  # windows that lead with the same oddity within half an hour are one incident

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


def pattern_of(keys: Iterable[int]) -> str:
    """Return the name of a set of template keys: BLAKE2b-64 of the sorted keys, in hex.

    >>> pattern_of([3, 1, 3]) == pattern_of([1, 3])
    True
    """
    content = np.unique(np.fromiter(keys, np.uint64)).astype(">u8").tobytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def group(pattern: Sequence[str], oddities: Sequence[Sequence[str]], start_us: I64) -> I64:
    """Return the incident [x] each verdict belongs to, numbered by first appearance.

    Two belong together if they have the same pattern, or if they share an oddity and no more than half an hour
    lies between one verdict with it and the next.

    >>> minute = 60_000_000
    >>> group(["a", "b", "a", "c"], [["x"], ["y", "z"], ["x"], ["z"]], np.array([0, 0, 900, 20]) * minute).tolist()
    [0, 1, 0, 1]
    """
    parent = np.arange(len(pattern))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(i: int, j: int) -> None:
        a, b = sorted((root(i), root(j)))
        parent[b] = a

    first: dict[str, int] = {}
    for i, name in enumerate(pattern):
        join(first.setdefault(name, i), i)
    last: dict[str, int] = {}
    timed = np.flatnonzero(start_us != NO_TIME)  # without a time nothing says that two things happened together
    for i in timed[np.argsort(start_us[timed], kind="stable")].tolist():
        for oddity in oddities[i]:
            before = last.get(oddity)
            if before is not None and start_us[i] - start_us[before] <= TOGETHER_US:
                join(before, i)
            last[oddity] = i
    roots = np.array([root(i) for i in range(len(pattern))], np.int64)
    order: dict[int, int] = {}
    return np.array([order.setdefault(r, len(order)) for r in roots.tolist()], np.int64)
