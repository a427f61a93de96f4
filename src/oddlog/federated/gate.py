"""Which updates are let in. Everything refused is named and counted, and the round goes on without it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlog.types import F32, Tally

MOST_TIMES_MEDIAN = 4.0
"""How many times the median length of a round's updates one of them may be. At 10 an update turned round and ten times
as long still got in now and then, and cost .11 of AUC (HDFS, development)."""

AGREED = 0.03
"""Median cosine of updates with those of the others, from which on they agree. Honest sites of HDFS, five and ten by
kind, have .17 to .6 in ten rounds, the least of them .08; with one of five turned round less, and at .1 it was refused
in six rounds of ten only (development)."""


@dataclass
class Gate:
    """Lets in what a round expects.

    Parameters
    ----------
    size : int
        Numbers in an update (p).
    sites : collection of str
        Who takes part.
    norm : float
        Longest update (Euclidean) that is let in.

    Attributes
    ----------
    refused : Tally
        By reason, with the first site of each.

    """

    size: int
    sites: Collection[str]
    norm: float = np.inf
    round: int = 0
    refused: Tally = field(default_factory=Tally)
    _came: set[str] = field(default_factory=set)

    def begin(self, round: int) -> None:  # noqa: A002 - the word of the field
        """Open a round; what belongs to another is refused from now on."""
        self.round = round
        self._came = set()

    def let_in(self, site: str, round: int, update: NDArray[Any]) -> F32 | None:  # noqa: A002 - the same
        """Return the update [p], or None where it is refused."""
        reason = self._reason(site, round, update)
        if reason:
            self.refuse(site, reason)
            return None
        self._came.add(site)
        return np.asarray(update, np.float32)

    def refuse(self, site: str, reason: str) -> None:
        """Count a refusal."""
        self.refused.add(reason, example=site)

    def _reason(self, site: str, round: int, update: NDArray[Any]) -> str:  # noqa: A002 - the same
        checks = (  # in this order: what comes later takes for granted what came before
            (lambda: site not in self.sites, "update of a site that does not take part"),
            (lambda: round != self.round, f"update of round {'before' if round < self.round else 'to come'}"),
            (lambda: site in self._came, "second update of a site in one round"),
            (lambda: update.dtype.kind != "f" or update.shape != (self.size,), "update of the wrong shape"),
            (lambda: not np.isfinite(update).all(), "update with values that are no numbers"),
            (lambda: np.linalg.norm(update.astype(np.float64)) > self.norm, "update too long"),
        )
        return next((reason for failed, reason in checks if failed()), "")


def against(updates: F32) -> NDArray[np.bool_]:
    """Return which updates [c, p] point against the others', where the others agree on a direction [c].

    That of each is compared with the mean direction of all others. Where the median cosine is `AGREED` or more, one
    at least half as far on the other side is refused: one turned round lies there as far as it would have lain here.
    Of honest ones some lie a little below 0: refusing these too cost HDFS F1 .977 to .858 in one draw of five. Near
    where nothing is left to learn, and where sites see quite other things (BGL by time), honest updates point apart
    and half of them against the rest: then nobody is refused, nor where there are fewer than four. Cosines are what
    Cao et al., "FLTrust", NDSS 2021, weigh by.

    >>> against(np.array([[1.0, 0.2], [1.0, -0.2], [0.8, 0.5], [-1.0, 0.1]], np.float32)).tolist()
    [False, False, False, True]
    >>> against(np.array([[1.0, 0.2], [1.0, -0.2], [0.8, 0.5], [-0.05, 1.0], [1.0, -0.6]], np.float32)).tolist()
    [False, False, False, False, False]
    >>> against(np.array([[1.0, 0.0], [-1.0, 0.1], [0.0, 1.0], [0.1, -1.0]], np.float32)).tolist()
    [False, False, False, False]
    """
    if len(updates) < 4:  # noqa: PLR2004 - there is no majority
        return np.zeros(len(updates), np.bool_)
    direction = updates / np.maximum(np.linalg.norm(updates.astype(np.float64), axis=1, keepdims=True), 1e-12)
    others = direction.sum(0) - direction
    cosine = (direction * others).sum(1) / np.maximum(np.linalg.norm(others, axis=1), 1e-12)
    agreed = np.median(cosine)
    return np.asarray((cosine < -agreed / 2) & (agreed >= AGREED), np.bool_)


def oversized(updates: F32, most: float = MOST_TIMES_MEDIAN) -> NDArray[np.bool_]:
    """Return which updates [c, p] are more than `most` times as long as the median of all [c].

    Two updates have no median to speak of: of fewer than three nobody is refused.

    >>> oversized(np.array([[1.0], [1.1], [50.0]], np.float32)).tolist()
    [False, False, True]
    """
    length = np.linalg.norm(updates.astype(np.float64), axis=1)
    if len(length) < 3:  # noqa: PLR2004 - see above
        return np.zeros(len(length), np.bool_)
    return np.asarray(length > most * max(float(np.median(length)), 1e-12), np.bool_)
