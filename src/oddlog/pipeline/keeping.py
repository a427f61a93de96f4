"""What several fits on the same logs, and several models that judge the same logs, need make only once.

For whoever compares detectors: the bench. Nothing here changes what is learned or said; tests compare the two.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from oddlog.pipeline.learning.collecting import First
from oddlog.types import Tally

if TYPE_CHECKING:
    from oddlog.pipeline.reading import Reading

KNOWS = ("formats", "lines", "places", "_years")
"""What a reading knows of what it has read, besides what it has counted."""


@dataclass
class Toll:
    """CPU-seconds of what is made once.

    Attributes
    ----------
    spent : float
        What it has taken.
    owed : float
        What it would have taken, had each made it for himself.

    """

    spent: float = 0.0
    owed: float = 0.0

    @property
    def spared(self) -> float:
        """Seconds that were not spent."""
        return self.owed - self.spent

    @contextmanager
    def making(self, made: dict[Any, float], key: object) -> Iterator[None]:
        """Count what the block takes, and note it as what `key` costs."""
        began = time.process_time()
        yield
        made[key] = time.process_time() - began
        self.spent += made[key]


class KeptPasses(ExitStack):
    """First passes over logs, kept for fits on them that differ in nothing but their detectors.

    Parameters
    ----------
    toll : Toll, optional
        Where what they take is counted.

    """

    def __init__(self, toll: Toll | None = None) -> None:
        super().__init__()
        self._toll = toll or Toll()
        self._made: dict[Any, float] = {}
        self._kept: dict[Any, tuple[First, Tally]] = {}

    @contextmanager
    def first(self, key: object, opened: Callable[[], AbstractContextManager[First]]) -> Iterator[First]:
        """Give out the pass that is kept for `key`, as it was when it had just been made; it is made if there is none.

        What a fit counts on the way (`Tally`) is not seen by the next one.
        """
        if key not in self._kept:
            with self._toll.making(self._made, key):
                first = self.enter_context(opened())
            self._kept[key] = first, _copy(first.reading.tally)
        first, tally = self._kept[key]
        self._toll.owed += self._made[key]
        first.reading.tally.counts = Counter(tally.counts)
        first.reading.tally.examples = dict(tally.examples)
        yield first


@dataclass(frozen=True)
class _Read:
    """Frames of records on disk, and what a reading knows when it has read them."""

    paths: list[Path]
    tally: Tally
    knows: dict[str, Any]


@dataclass
class KeptRecords:
    """Cleaned records of logs, read once and kept on disk for models that judge them.

    Attributes
    ----------
    folder : Path
        Where they are kept; whoever made it removes it.
    toll : Toll
        Where what reading takes is counted.

    """

    folder: Path
    toll: Toll = field(default_factory=Toll)
    _made: dict[Any, float] = field(default_factory=dict)
    _kept: dict[Any, _Read] = field(default_factory=dict)

    def frames(
        self, reading: Reading, asked: object, read: Callable[[], Iterator[tuple[str, pl.DataFrame]]]
    ) -> Iterator[pl.DataFrame]:
        """Yield what `read` yields for `reading`; a second one that reads alike gets the frames of the first.

        Parameters
        ----------
        reading : Reading
            Knows afterwards what it would know had it read them itself.
        asked : object
            What is read: its paths.
        read : callable
            Reads.

        """
        alike = (*map(str, (asked, reading.format)), tuple(reading.known_formats), tuple(reading.known_numbers))
        key = (*alike, reading.redact, reading.drop_duplicates)
        if key not in self._kept:
            with self.toll.making(self._made, key):
                self._kept[key] = self._written(reading, read, self.folder / str(len(self._kept)))
        kept = self._kept[key]
        self.toll.owed += self._made[key]
        reading.tally.merge(kept.tally)
        for name, value in kept.knows.items():
            setattr(reading, name, value)
        for path in kept.paths:
            yield pl.read_ipc(path)

    def _written(self, reading: Reading, read: Callable[[], Iterator[tuple[str, pl.DataFrame]]], folder: Path) -> _Read:
        folder.mkdir(parents=True)
        paths: list[Path] = []
        counted, reading.tally = reading.tally, Tally()
        try:
            for _, frame in read():
                paths.append(folder / f"{len(paths):06d}.arrow")
                frame.write_ipc(paths[-1])
            return _Read(paths, reading.tally, {name: getattr(reading, name) for name in KNOWS})
        finally:
            reading.tally = counted


def _copy(tally: Tally) -> Tally:
    copied = Tally()
    copied.merge(tally)
    return copied
