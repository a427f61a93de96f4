"""Where a SQLite store lies, and whether it is still there: who holds a file open writes on after it was moved away.

::

    as it was opened ──► moved away, deleted ──► put back: goes on where it was
                             │       └── `PUT_BACK_S` later: a new one is begun in its place
                             └──► another file in its place: refused until the service is started anew
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

PUT_BACK_S = 60.0  # whoever moves a store away by mistake, or to look at it, has so long to put it back


class Place:
    """A file that was opened, and what has become of it.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    clock : callable
        Seconds that never go back.

    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path.absolute(), clock
        self._gone_s: float | None = None
        self.path.touch()
        self._file = self._identity()

    @property
    def address(self) -> str:
        """What SQLite opens it by: never makes it, so that a file that is gone is not taken for an empty one."""
        return f"file:{quote(str(self.path))}"

    @property
    def trouble(self) -> str:
        """What is wrong; nothing while all is well, and once a new file may be begun (`is_lost`)."""
        there = self._identity()
        if there == self._file:
            self._gone_s = None
            return ""
        if there is not None:
            return f"{self.path} is another file than the one that was opened"
        if self._gone_s is None:
            self._gone_s = self._clock()
        return "" if self.is_lost else f"{self.path} is gone"

    @property
    def is_lost(self) -> bool:
        """Whether it has been gone for so long that nobody will put it back."""
        return self._gone_s is not None and self._clock() - self._gone_s >= PUT_BACK_S

    def renew(self) -> None:
        """Make a new file in its place, and its folder, without what belonged to the old one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.path.touch()
        self._file, self._gone_s = self._identity(), None

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
