"""Types told by their texts: whose text is near to another's stands for it."""

from __future__ import annotations

import numpy as np

from oddlog.features.counts import RARE, UNSEEN, Columns
from oddlog.types import F32

ALIKE = 0.8
"""Cosine from which on two texts say the same."""


def approximated(columns: Columns, vectors: F32, least: float) -> Columns:
    """Give types that training does not hold the slot of the type with the nearest text, at a cosine of `least`.

    Meng et al., "LogAnomaly", IJCAI 2019: a template not met in training is taken for its nearest.

    Parameters
    ----------
    columns : Columns
        Of k types.
    vectors : F32 [k, d]
        Of their texts.
    least : float
        Cosine below which a type stays unseen.

    """
    held = np.flatnonzero(columns.row >= 0)
    other = np.flatnonzero(columns.lookup[:-1] == columns.width - 1)
    if not len(held) or not len(other):
        return columns
    likeness = _unit(vectors[other]) @ _unit(vectors[columns.row[held]]).T
    nearest = likeness.argmax(1)
    near = likeness[np.arange(len(other)), nearest] >= least
    lookup = columns.lookup.copy()
    lookup[other[near]] = held[nearest[near]]
    return Columns(lookup, columns.row)


def clustered(columns: Columns, vectors: F32, least: float) -> Columns:
    """Give types whose texts are alike one slot: each joins the nearest cluster's first, or begins one.

    Types are taken in the order of their slots, so the clusters depend on nothing else.
    """
    held = columns.row[columns.row >= 0]
    unit = _unit(vectors)
    leaders: list[int] = []
    lookup = np.full(columns.k + 1, -1, np.int64)
    for row in held.tolist():
        likeness = unit[leaders] @ unit[row]
        if leaders and likeness.max() >= least:
            lookup[row] = int(likeness.argmax())
        else:
            lookup[row] = len(leaders)
            leaders.append(row)
    rare = columns.lookup == columns.width - 2
    lookup[rare] = len(leaders)
    lookup[lookup < 0] = len(leaders) + 1
    return Columns(lookup, np.array([*leaders, RARE, UNSEEN], np.int64))


def _unit(vectors: F32) -> F32:
    """Return vectors of length 1 [x, d]; those of length 0 stay."""
    length = np.sqrt((vectors**2).sum(1, keepdims=True))
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
