"""What stood before each event, at most so many events back: what DeepLog and its kin foretell from.

::

    window   a b c d          history = 2
             a | b            each distinct history and what followed it once,
             a b | c          with what all its occurrences weigh together
             b c | d
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.types import F64, I64


@dataclass(frozen=True)
class Histories:
    """Distinct histories, each with the event that followed.

    Attributes
    ----------
    token : I64 [x, h]
        The events, oldest first; what lies behind a shorter history is 0.
    length : I64 [x]
        Events of each, 1 to h.
    target : I64 [x]
        What followed.
    weight : F64 [x]
        Of the windows that hold it, each occurrence counted.
    event, place : I64 [y]
        Events that something stood before, and which history that was.

    """

    token: I64
    length: I64
    target: I64
    weight: F64
    event: I64
    place: I64

    def __len__(self) -> int:
        return len(self.length)


def histories(token: I64, offsets: I64, weight: F64, most: int) -> Histories:
    """Return what stands before each event of the windows but their first, at most `most` events.

    Parameters
    ----------
    token : I64 [e]
        Of each event, 0 or more.
    offsets : I64 [w + 1]
        Where windows begin.
    weight : F64 [w]
        Of the windows.
    most : int
        Events of a history.

    Examples
    --------
    >>> found = histories(np.array([7, 8, 9, 7, 8]), np.array([0, 3, 5]), np.ones(2), 2)
    >>> found.token.tolist(), found.target.tolist(), found.weight.tolist()
    ([[7, 0], [7, 8]], [8, 9], [2.0, 1.0])

    """
    lengths = np.diff(offsets)
    rank = np.arange(len(token)) - np.repeat(offsets[:-1], lengths)
    event = np.flatnonzero(rank > 0)
    length = np.minimum(rank[event], most)
    step = np.arange(most)
    real = step < length[:, None]
    before = (
        np.where(real, token[np.where(real, event[:, None] - length[:, None] + step, 0)], 0) if len(event) else real
    )
    rows = np.concatenate([length[:, None], token[event][:, None], before], axis=1).astype(np.int64)
    found, place = np.unique(rows, axis=0, return_inverse=True)
    place = place.reshape(-1)
    total = np.bincount(place, np.repeat(weight, lengths)[event], minlength=len(found)).astype(np.float64)
    return Histories(found[:, 2:], found[:, 0], found[:, 1], total, event, place)
