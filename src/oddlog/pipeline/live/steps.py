"""How many lines came in a while, however many they are: counts by steps of time, not a time for each line.

::

    a while of up to 7.2 s    steps of a millisecond      2 h    of a second
                     5 days            of a minute      longer   of an hour

Nothing is said that is not so: lines that are too many came within the while at most, lines that are too few within the
while at least. So a limit may be passed unnoticed by lines that lie farther apart than the while less a step, and kept
by one that came up to a step before it.
"""

from __future__ import annotations

import numpy as np

from oddlog.types import I64

STEPS_US = (1_000, 1_000_000, 60_000_000, 3_600_000_000)
MOST_STEPS = 7_200  # of a while, unless it is longer than 300 days
MOST_KEPT = 20_000  # steps with lines: the last ones


class Steps:
    """Counts lines by steps.

    Parameters
    ----------
    within_us : int
        The while (us).
    whole : bool
        Whether steps that lie in it in part count too: for lines that may be too few.

    Attributes
    ----------
    step_us : int
        How long a step is (us).

    """

    def __init__(self, within_us: int, *, whole: bool) -> None:
        self.step_us = next((one for one in STEPS_US if within_us <= one * MOST_STEPS), STEPS_US[-1])
        n = within_us // self.step_us
        self._most = -(-within_us // self.step_us) + 1 if whole else max(n, 1)
        self._at = np.empty(0, np.int64)  # steps since the epoch, ascending …
        self._n = np.empty(0, np.int64)  # … and lines in them

    def add(self, time_us: I64) -> None:
        """Take in the times of lines [x], in any order."""
        at, n = np.unique(time_us // self.step_us, return_counts=True)
        self._at, where = np.unique(np.concatenate([self._at, at]), return_inverse=True)
        summed = np.zeros(len(self._at), np.int64)
        np.add.at(summed, where, np.concatenate([self._n, n]))
        self._at, self._n = self._at[-MOST_KEPT:], summed[-MOST_KEPT:]

    def peak(self) -> tuple[int, int]:
        """Return the most lines there were in any such while, and when it began (us); nothing without lines."""
        if not len(self._at):
            return 0, 0
        total = np.concatenate([[0], np.cumsum(self._n)])
        first = np.searchsorted(self._at, self._at - self._most, side="right")
        counts = total[1:] - total[first]
        best = int(counts.argmax())
        return int(counts[best]), int(self._at[first[best]]) * self.step_us

    def count(self, now_us: int) -> int:
        """Return how many lines came in the while until now, and forget those before it."""
        here = self._at > now_us // self.step_us - self._most
        self._at, self._n = self._at[here], self._n[here]
        return int(self._n.sum())

    @property
    def from_us(self) -> int:
        """When those that `count` has found began (us); 0 without any."""
        return int(self._at[0]) * self.step_us if len(self._at) else 0

    def state(self) -> list[list[int]]:
        """Return what `restore` needs."""
        return [self._at.tolist(), self._n.tolist()]

    def restore(self, state: list[list[int]]) -> None:
        """Go on where `state` was taken, of the same while."""
        self._at, self._n = np.array(state[0], np.int64), np.array(state[1], np.int64)
