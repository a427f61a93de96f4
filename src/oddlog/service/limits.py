"""How many lines a second are taken."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from oddlog.errors import OddlogError

BURST_S = 2.0  # so much of what was not used is kept


class TooFastError(OddlogError):
    """More lines come than are taken; nothing of what was offered has been.

    Parameters
    ----------
    retry_after_s : int
        When to offer it again.

    """

    def __init__(self, most: float, retry_after_s: int) -> None:
        super().__init__(f"At most {most:,.0f} lines a second are taken.", f"Offer them again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class Rate:
    """Lets through so many lines a second, and a little more at once.

    Parameters
    ----------
    most : float
        Lines a second; 0 for no limit.
    clock : callable
        Seconds that never go back.

    """

    def __init__(self, most: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._left, self._then = most * BURST_S, clock()
        self._lock = threading.Lock()

    def take(self, n: int) -> None:
        """Let `n` lines through, whole: a push larger than what is left is paid for by those behind it.

        Raises
        ------
        TooFastError
            If lines before them have used up what there is.

        """
        if not self._most:
            return
        with self._lock:
            now = self._clock()
            self._left = min(self._left + (now - self._then) * self._most, self._most * BURST_S)
            self._then = now
            if self._left <= 0:
                raise TooFastError(self._most, max(1, math.ceil(-self._left / self._most)))
            self._left -= n
