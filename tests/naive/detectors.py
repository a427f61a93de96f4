"""Slow, obvious twins of the count members: dictionaries, loops, formulas as they stand in the papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import inf, log, log10, sqrt

Row = dict[int, int]
UNSEEN = -1


def row_of(sequence: Sequence[int], known: set[int]) -> Row:
    """Count the types of one window; types that usual windows do not hold share one slot."""
    return dict(Counter(t if t in known else UNSEEN for t in sequence))


def known_types(usual: Sequence[Sequence[int]], k: int) -> set[int]:
    return {t for s in usual for t in s if t < k}


def distinct_rows(sequences: Sequence[Sequence[int]], known: set[int]) -> list[tuple[Row, int]]:
    """Return each distinct row and how many windows have it."""
    found: dict[tuple[tuple[int, int], ...], int] = Counter(tuple(sorted(row_of(s, known).items())) for s in sequences)
    return [(dict(row), n) for row, n in found.items()]


def yardstick(rows: list[tuple[Row, int]], types: set[int]) -> tuple[dict[int, float], dict[int, float]]:
    """Return idf and 1 / (spread + 0.5) of each type."""
    n = sum(weight for _, weight in rows)
    idf, scale = {}, {}
    for e in types | {UNSEEN}:
        df = sum(weight for row, weight in rows if e in row)
        idf[e] = log((1 + n) / df) + 0.5 if df else log(1 + n) + 0.5
        logs = [log(row[e]) for row, _ in rows if e in row]
        mean = sum(logs) / len(logs) if logs else 0.0
        spread = sqrt(sum((x - mean) ** 2 for x in logs) / len(logs)) if logs else 0.0
        scale[e] = 1 / (spread + 0.5)
    return idf, scale


def distance(u: Row, v: Row, idf: dict[int, float], scale: dict[int, float]) -> float:
    """Return how far apart two windows are."""
    total = 0.0
    for e in set(u) | set(v):
        if e in u and e in v:
            total += abs(log(u[e]) - log(v[e])) * scale[e]
        else:
            total += idf[e]
    return total


def nearest_neighbour(usual: Sequence[Sequence[int]], tested: Sequence[Sequence[int]], k: int) -> list[float]:
    """Score each tested window by its distance to the nearest usual one."""
    known = known_types(usual, k)
    rows = distinct_rows(usual, known)
    idf, scale = yardstick(rows, known)
    return [min(distance(row_of(s, known), v, idf, scale) for v, _ in rows) for s in tested]


def distance_to_share(sequences: Sequence[Sequence[int]], k: int, share: float) -> list[float]:
    """Return the distance within which `share` of all windows lie, of each window."""
    known = known_types(sequences, k)
    rows = distinct_rows(sequences, known)
    idf, scale = yardstick(rows, known)
    result = []
    for s in sequences:
        u = row_of(s, known)
        met = 0
        for away, weight in sorted((distance(u, v, idf, scale), weight) for v, weight in rows):
            met += weight
            if met >= share * len(sequences):
                result.append(away)
                break
    return result


def new_event(usual: Sequence[Sequence[int]], tested: Sequence[Sequence[int]], k: int) -> list[float]:
    """Score each tested window by its rarest type."""
    df = Counter(t for s in usual for t in set(s) if t < k)

    def rarer(f: int) -> int:
        return sum(min((df[t] for t in s if t < k), default=inf) <= f for s in usual)

    def surprise(t: int) -> float:
        seen = df[t] if t < k else 0
        chance = rarer(seen) + 1 if seen else rarer(1) + 0.5
        return -log10(min(1.0, chance / (len(usual) + 1)))

    return [max((surprise(t) for t in s), default=0.0) for s in tested]


def relative_difference(usual: Sequence[Sequence[int]], tested: Sequence[Sequence[int]], k: int) -> list[float]:
    """Return sum of idf * |u - v| / sum of idf * max(u, v) to the nearest usual window (Landauer 2024, section 4)."""
    known = known_types(usual, k)
    n = len(usual)
    df = Counter(e for s in usual for e in row_of(s, known))
    idf = {e: log10((1 + n) / max(df[e], 1)) for e in known | {UNSEEN}}

    def distance_of(u: Row, v: Row) -> float:
        most = sum(idf[e] * max(u.get(e, 0), v.get(e, 0)) for e in set(u) | set(v))
        apart = sum(idf[e] * abs(u.get(e, 0) - v.get(e, 0)) for e in set(u) | set(v))
        return apart / most if most else 0.0

    return [min(distance_of(row_of(s, known), v) for v, _ in distinct_rows(usual, known)) for s in tested]


def unseen_pairs(usual: Sequence[Sequence[int]], tested: Sequence[Sequence[int]], k: int) -> list[int]:
    """Return how many different pairs of neighbours each window holds that no usual one does, its ends among them."""
    known = known_types(usual, k)

    def pairs_of(sequence: Sequence[int]) -> set[tuple[object, object]]:
        marked = ["begin", *(t if t in known else UNSEEN for t in sequence), "end"]
        return set(pairwise(marked))

    seen = {pair for s in usual for pair in pairs_of(s)}
    return [len(pairs_of(s) - seen) for s in tested]
