"""Evidence for drift, as money won in bets that what comes now is odder than what was learned from.

Each block of time has a p-value: the share of training blocks that lay as far from usual, ties by half. While nothing
drifts their mean is one half, so no bet on lower ones wins in the long run; money that grows all the same is evidence.

    money[ε] ← money[ε] · (1 + ε (½ − slack − p))         for three stakes ε; a hundredth moves between them each time

It begins anew at 1 whenever less is left, so that evidence is of the latest stretch, and no stake of 0 is needed. Then
the time to a false alarm at `bound` is `bound` blocks at least, in the mean: Shin, Ramdas and Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", NEJSDS 2023, theorem 2.4 (doi 10.51387/23-NEJSDS51); stakes
are those of the Simple Jumper of Vovk and others, "Retrain or not retrain: conformal test martingales for change-point
detection", PMLR 152, 2021, section 3. `slack` is what few training blocks leave open: theirs may happen to lie low by
two standard errors.

A block wins less than double, so 17 blocks and more must lie far off before a bound of 100,000 is reached: an incident
of some hours is no drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oddlog.types import F64, I64, Bool, State

STAKES = np.array([0.25, 0.5, 1.0])  # of the highest that can never lose everything
BOLDEST = 0.98
JUMP = 0.01
LEAST_SLACK = 0.05  # blocks one after the other are alike, which p-values know nothing of


def slack_of(n: int) -> float:
    """Return how far the mean p-value may lie below one half because only `n` training blocks are known.

    >>> round(slack_of(18), 2), slack_of(10_000)
    (0.14, 0.05)
    """
    return max(LEAST_SLACK, 2 / float(np.sqrt(12 * max(n, 1))))


def least_blocks(slack: float, bound: float) -> int:
    """Return after how many blocks, each odder than all of training, a figure has drifted: before that none can have.

    >>> least_blocks(0.05, 1e5)
    22
    """
    bets, n = Bets(np.array([slack]), bound), 0
    while not bets.drifts[0]:
        bets.bet(np.zeros(1), n)
        n += 1
    return n


class Bets:
    """Bets on several figures at once.

    Parameters
    ----------
    slack : F64 [x]
        Of each figure.
    bound : float
        Money from which on a figure has drifted; it has no more below the root of it.

    """

    def __init__(self, slack: F64, bound: float) -> None:
        self._slack, self.bound = slack, bound
        self._stake = STAKES[None, :] * (BOLDEST / (0.5 + slack))[:, None]  # [x, 3]
        self._money = np.full((len(slack), len(STAKES)), 1 / len(STAKES))
        self.since: I64 = np.full(len(slack), -1, np.int64)  # [x] first block of the latest stretch
        self.drifts: Bool = np.zeros(len(slack), np.bool_)  # [x]

    @property
    def evidence(self) -> F64:
        """How far each figure is to the bound, by digits: 0 to 1 [x]."""
        digits: F64 = np.log(np.maximum(self._money.sum(1), 1.0)) / np.log(self.bound)
        return digits

    def bet(self, p: F64, block: int) -> None:
        """Take in the p-values of a block [x]; NaN is no bet."""
        asked = ~np.isnan(p)
        edge = 0.5 - self._slack - np.where(asked, p, 0.5)
        money = self._money * (1 + self._stake * edge[:, None])
        total = money.sum(1, keepdims=True)
        money = (1 - JUMP) * money + JUMP * total / len(STAKES)
        total = total[:, 0]
        anew = total <= 1
        money[anew] = 1 / len(STAKES)
        most = total > self.bound
        money[most] *= (self.bound / total[most])[:, None]
        self._money[asked] = money[asked]
        self.since = np.where(asked & anew, -1, np.where(asked & (self.since < 0), block, self.since))
        still = (total >= self.bound) | (self.drifts & (total > np.sqrt(self.bound)))
        self.drifts = np.where(asked, still, self.drifts)

    def state(self) -> State:
        """Return what `restore` needs."""
        return State({"money": self._money, "since": self.since, "drifts": self.drifts.astype(np.uint8)})

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._money = np.array(arrays["money"], np.float64)
        self.since = np.array(arrays["since"], np.int64)
        self.drifts = np.array(arrays["drifts"], np.bool_)
