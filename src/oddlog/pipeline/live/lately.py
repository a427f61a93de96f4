"""What went by lately, for deployments that are marked when their lines have come already.

::

    lines by minute and service     a day of them            restored after a restart
    lines of new types              the last 20,000          the last 5,000 restored
    who was in which session        the last 500,000 lines   from the restart on
"""

from __future__ import annotations

from collections import deque

import numpy as np
import polars as pl

from oddlog.pipeline.judging.deployments import ERROR
from oddlog.rates.counting import US_PER_MINUTE
from oddlog.types import NO_TIME, State

KEPT_MINUTES = 1_440 + 60
MOST_MINUTES = 100_000  # of all services
MOST_NEW = 20_000  # lines of new types …
NEW_NOTED = 5_000  # … and of them those that a restart knows
MOST_PASSED = 500_000  # lines of which session and service are known
NEW = pl.Schema(
    {
        "template": pl.UInt32(),
        "service": pl.UInt16(),
        "session": pl.String(),
        "level": pl.UInt8(),
        "time_us": pl.Int64(),
        "source": pl.UInt16(),
        "line": pl.UInt64(),
        "count": pl.UInt32(),
    }
)
_PASSED = ("session", "service", "time_us", "level", "count")
_SERVICE_BITS = 16


class Lately:
    """Keeps it."""

    def __init__(self) -> None:
        self.new = pl.DataFrame(schema=NEW)
        self._passed: deque[pl.DataFrame] = deque()
        self._n_passed = 0
        self._minutes: dict[int, list[int]] = {}  # minute and service -> lines, errors
        self._gone = -1  # the latest minute that was let go

    @property
    def from_us(self) -> int:
        """Since when lines are counted by minute without a gap; `NO_TIME` for always."""
        return NO_TIME if self._gone < 0 else (self._gone + 1) * US_PER_MINUTE

    def add(self, events: pl.DataFrame, new: pl.DataFrame) -> None:
        """Take in events, all of which have a time, and those of `new` types among them (`NEW`)."""
        if len(new):
            self.new = pl.concat([self.new, new]).tail(MOST_NEW)
        self._passed.append(events.select(_PASSED))
        self._n_passed += len(events)
        while self._n_passed > MOST_PASSED and len(self._passed) > 1:
            self._n_passed -= len(self._passed.popleft())
        self._count(events)

    def _count(self, events: pl.DataFrame) -> None:
        name = (events["time_us"].to_numpy() // US_PER_MINUTE) << _SERVICE_BITS | events["service"].to_numpy()
        distinct, place = np.unique(name, return_inverse=True)
        count = events["count"].to_numpy().astype(np.int64)
        lines = np.bincount(place, count)
        errors = np.bincount(place, count * (events["level"].to_numpy() >= ERROR))
        for one, n, failed in zip(distinct.tolist(), lines.tolist(), errors.tolist(), strict=True):
            kept = self._minutes.setdefault(one, [0, 0])
            kept[0], kept[1] = kept[0] + int(n), kept[1] + int(failed)
        oldest = (int(distinct[-1]) >> _SERVICE_BITS) - KEPT_MINUTES
        if len(self._minutes) > MOST_MINUTES:
            oldest = max(oldest, sorted(self._minutes)[len(self._minutes) // 4] >> _SERVICE_BITS)
        if oldest > self._gone + 60 or len(self._minutes) > MOST_MINUTES:
            old = [one for one in self._minutes if one >> _SERVICE_BITS <= oldest]
            for one in old:
                del self._minutes[one]
            self._gone = max(self._gone, oldest) if old else self._gone

    def lines(self, service: int, start_us: int, end_us: int) -> tuple[int, int]:
        """Return lines and errors of a service from `start_us` until before `end_us`.

        Minutes that begin or end in between are counted by their lines, as far as these are known; else they count for
        the time they begin in.
        """
        lines = errors = 0
        for name, (n, failed) in self._minutes.items():
            begin = (name >> _SERVICE_BITS) * US_PER_MINUTE
            if name & 0xFFFF == service and start_us <= begin < end_us:
                lines, errors = lines + n, errors + failed
        for at, sign in ((start_us, 1), (end_us, -1)):
            n, failed = self._rest(service, at)
            lines, errors = lines + sign * n, errors + sign * failed
        return lines, errors

    def _rest(self, service: int, at_us: int) -> tuple[int, int]:
        """Return lines and errors from `at_us` to the end of its minute, which the sum by minutes leaves to before."""
        begin = at_us // US_PER_MINUTE * US_PER_MINUTE
        if begin == at_us:
            return 0, 0
        own = (pl.col("service") == service) & pl.col("time_us").is_between(at_us, begin + US_PER_MINUTE, "left")
        error = pl.col("level") >= ERROR
        sums = [
            part.filter(own).select(n=pl.col("count").sum(), failed=pl.col("count").filter(error).sum()).row(0)
            for part in self._passed
        ]
        return sum(int(n) for n, _ in sums), sum(int(failed) for _, failed in sums)

    def sessions(self, service: int, start_us: int, end_us: int) -> list[str]:
        """Return the sessions that a service wrote in from `start_us` until before `end_us`."""
        own = (pl.col("service") == service) & pl.col("time_us").is_between(start_us, end_us, "left")
        found = [part.filter(own)["session"].drop_nulls() for part in self._passed]
        return pl.concat(found).unique(maintain_order=True).to_list() if found else []

    def state(self) -> State:
        """Return what `restore` needs."""
        minutes = np.array([[name, *counts] for name, counts in self._minutes.items()], np.int64).reshape(-1, 3)
        new = self.new.tail(NEW_NOTED).to_dict(as_series=False)
        return State({"minutes": minutes}, {"new": new, "gone": self._gone})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken."""
        self.new = pl.DataFrame(state.meta["new"], schema=NEW)
        self._minutes = {name: [lines, errors] for name, lines, errors in state.arrays["minutes"].tolist()}
        self._gone = state.meta["gone"]
