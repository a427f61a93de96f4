"""How many lines of each type there were in each stretch of time, all entities together: what tells concentration."""

from __future__ import annotations

from typing import Any

import polars as pl

from oddlog.explain import stretch_sums, totals_by_stretch
from oddlog.types import Windows

KEPT_US = 2 * 3_600_000_000  # stretches are kept for twice as long as an incident goes on without more of it
_SCHEMA = pl.Schema({"start": pl.Int64(), "template": pl.UInt32(), "total": pl.UInt32(), "most": pl.UInt32()})


class Stretching:
    """Sums over the windows of entities that are over; old stretches are forgotten.

    Parameters
    ----------
    k : int
        Types that the model knows.

    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._sums = pl.DataFrame(schema=_SCHEMA)

    def add(self, windows: Windows) -> None:
        """Take in windows of entities."""
        if not len(windows):
            return
        more = totals_by_stretch(windows, self._k).cast(dict(_SCHEMA))  # type: ignore[arg-type] # a schema is a mapping
        sums = stretch_sums(pl.concat([self._sums, more]))
        self._sums = sums.filter(pl.col("start") >= int(windows.start.max()) - KEPT_US)

    @property
    def sums(self) -> pl.DataFrame:
        """What `Merging.add_stretches` takes."""
        return self._sums

    def arrays(self) -> dict[str, Any]:
        """Return everything `restore` needs."""
        return {name: self._sums[name].to_numpy() for name in _SCHEMA} if len(self._sums) else {}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Go on where `arrays` were taken."""
        if arrays:
            self._sums = pl.DataFrame({name: arrays[name] for name in _SCHEMA}, schema=_SCHEMA)
