"""Where to go on, for sources that know places by marks of their own: a journal's cursor, a time and an identity."""

from __future__ import annotations

from collections import deque
from typing import Any

MOST_NOTED = 4_096  # places between what was handed over and what has been dealt with


class Cursors:
    """Remembers, by number of line, after which line which cursor goes on.

    >>> cursors = Cursors(0, None)
    >>> cursors.note(10, "a"); cursors.note(25, "b")
    >>> cursors.before(24), cursors.before(25), cursors.last
    ((10, 'a'), (25, 'b'), (25, 'b'))

    Parameters
    ----------
    line : int
        Number of the last line before the first one.
    cursor : JSON value
        What leads to the first one.

    """

    def __init__(self, line: int, cursor: Any) -> None:
        self._noted: deque[tuple[int, Any]] = deque([(line, cursor)])

    @property
    def last(self) -> tuple[int, Any]:
        """The line and the cursor behind everything handed over."""
        return self._noted[-1]

    def note(self, line: int, cursor: Any) -> None:
        """Remember what goes on behind a line; of very many places some are forgotten, never the first and the last."""
        self._noted.append((line, cursor))
        if len(self._noted) > MOST_NOTED:
            kept = [one for i, one in enumerate(self._noted) if i % 2 == 0 or i == len(self._noted) - 1]
            self._noted = deque(kept)

    def before(self, line: int) -> tuple[int, Any]:
        """Return the last place at or before a line: what lies between is to be read once more."""
        return next((one for one in reversed(self._noted) if one[0] <= line), self._noted[0])

    def place(self, earliest: int | None = None) -> dict[str, Any]:
        """Return a position as JSON: behind everything handed over, or at most before the line `earliest`."""
        line, cursor = self.last if earliest is None else self.before(earliest - 1)
        return {"line": line, "cursor": cursor}

    def forget(self, line: int) -> None:
        """Forget the places before the one that goes on behind a line that has been dealt with."""
        while len(self._noted) > 1 and self._noted[1][0] <= line:
            self._noted.popleft()
