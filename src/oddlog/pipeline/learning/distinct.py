"""Windows alike in what a detector reads are one window with a weight: scored once, joined back."""

from __future__ import annotations

import numpy as np

from oddlog.features.hashing import mix, places, sums_of
from oddlog.types import F64, I64, OVERFLOW, U64, Windows

MOST_WINDOWS = 200_000  # distinct windows a fit takes; beyond, a sample of them, which is stated
MOST_EVENTS = 500_000  # of whole windows a fit takes: 25 bytes each, and 4 for each number
COUNTED = frozenset({"template", "text"})  # what a detector reads that only counts types, or the words of these
CODED = frozenset({"template", "order", "level", "service"})  # what can be told alike; times and numbers never are


def counts_hash(windows: Windows, unseen_from: int) -> U64:
    """Return a hash of how often each type stands in each window [w]; types >= `unseen_from` are one type."""
    return sums_of(mix(np.minimum(windows.template, unseen_from).astype(np.uint64)), windows.offsets)


def reads_hash(windows: Windows, reads: frozenset[str], unseen_from: int) -> U64 | None:
    """Return a hash of what a detector that `reads` so much sees of each window [w]; None where no two are alike."""
    if "text" in reads:  # who reads texts tells unseen types apart, too
        unseen_from, reads = OVERFLOW, reads - {"text"}
    if reads <= COUNTED:
        return counts_hash(windows, unseen_from)
    return sequence_hash(windows, reads, unseen_from) if reads <= CODED else None


def sequence_hash(windows: Windows, reads: frozenset[str], unseen_from: int) -> U64:
    """Return a hash of types, and of levels, services and order if these are read, of each window [w].

    Where the order is read, an event's part depends on its place in the window, and whether the window is over is
    told too: the end is a step of the order.
    """
    with np.errstate(over="ignore"):
        mixed = mix(np.minimum(windows.template, unseen_from).astype(np.uint64))
        if "level" in reads:
            mixed = mix(mixed + windows.level)
        if "service" in reads:
            mixed = mix(mixed + windows.service)
        if "order" not in reads:
            return sums_of(mixed, windows.offsets)
        mixed = mix(mixed + mix(places(windows.offsets)))
    return kept_apart(sums_of(mixed, windows.offsets), windows.closed_by.astype(np.int64))


def kept_apart(hashes: U64, apart: I64) -> U64:
    """Return hashes [w] of windows that are alike only if what keeps them apart (a fold, a label) is the same."""
    with np.errstate(over="ignore"):
        # Mixed once more: hashes are sums of mixed types, and a fold must not pass for one more type.
        return mix(mix(hashes) + mix(apart.astype(np.uint64)))


def drawn(windows: Windows) -> U64:
    """Return a draw for each window [w], the same however the windows are ordered: a hash of its first line."""
    with np.errstate(over="ignore"):
        first = windows.offsets[:-1][windows.lengths > 0]
        draw = mix(windows.start.view(np.uint64))
        filled = windows.lengths > 0
        draw[filled] = mix(draw[filled] + mix(windows.line[first]) + windows.source[first])
        return draw


def distinct(hashes: U64) -> tuple[I64, I64]:
    """Return the first window of each distinct hash [u], in order of appearance, and each window's place there [w]."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse]


def merged(windows: Windows, hashes: U64, fold: I64) -> tuple[Windows, U64, I64]:
    """Return the distinct windows of each fold with their weights summed, their hashes, and their folds."""
    first, inverse = distinct(kept_apart(hashes, fold))
    kept = windows.take(first)
    weight = np.bincount(inverse, windows.weight, minlength=len(first))
    kept.weight[:] = weight
    return kept, hashes[first], fold[first]


def sampled(hashes: U64, weight: F64, most: int = MOST_WINDOWS) -> I64:
    """Return which windows [x] to keep if there are more than `most`.

    Half are those that stand for most windows, so that nothing common becomes unknown. The others are those of
    the smallest mixed hashes, as good as a random draw: the same windows are kept in any order.
    """
    if len(hashes) <= most:
        return np.arange(len(hashes))
    with np.errstate(over="ignore"):
        drawn = mix(hashes)
    heavy = np.lexsort((drawn, -weight))[: most // 2]
    rest = np.ones(len(hashes), np.bool_)
    rest[heavy] = False
    others = np.flatnonzero(rest)
    others = others[np.argsort(drawn[others], kind="stable")[: most - len(heavy)]]
    return np.sort(np.concatenate([heavy, others]))
