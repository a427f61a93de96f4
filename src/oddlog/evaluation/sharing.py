"""What the cells of one split share: both parts written once, one first pass over the one, the other read once.

::

    set, protocol, seed ──► Split ──► train/ ──► first pass ──┬─► snn ──────┐
                                  └─► test/  ──► records ─────┼─► ocsvm ────┼─► a result each
                                                              └─► … ────────┘

Each detector still learns by `fit` and judges by `detect`; what they are handed is what each would have made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from oddlog.datasets import LogSet
from oddlog.evaluation.catalogue import Catalogue, write_rows
from oddlog.evaluation.protocols import Split
from oddlog.pipeline.keeping import KeptPasses, KeptRecords, Toll
from oddlog.types import I64


class Shared(ExitStack):
    """Use as a context manager: what was written is removed at the end.

    Parameters
    ----------
    of : LogSet
        Whose lines.
    catalogue : Catalogue
        Of the set.
    parts : Split
        How it is split.
    folder : path, optional
        Where the two parts are written; one that is forgotten if not given.

    Attributes
    ----------
    learning, judging : Toll
        What was made for learning, and for judging.

    """

    def __init__(self, of: LogSet, catalogue: Catalogue, parts: Split, folder: Path | None = None) -> None:
        super().__init__()
        self.of, self.catalogue, self.parts = of, catalogue, parts
        self.learning, self.judging, self._writing = Toll(), Toll(), Toll()
        self._folder = folder
        self._made: dict[Any, float] = {}
        self._rows: dict[str, Mapping[str, I64]] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self.root = Path(self.enter_context(tempfile.TemporaryDirectory())) if self._folder is None else self._folder
        self.passes = self.enter_context(KeptPasses(self.learning))
        aside = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.records = KeptRecords(aside, self.judging)
        return self

    @property
    def spared(self) -> float:
        """CPU-seconds that cells have not spent so far, since something was made already."""
        return self.learning.spared + self.judging.spared + self._writing.spared

    def train(self) -> Mapping[str, I64]:
        """Write what is learned from below `root`, if it is not there yet; return the row of each line."""
        return self._written("train", self.parts.train, self.learning)

    def test(self) -> Mapping[str, I64]:
        """Write what is judged below `root`, if it is not there yet; return the row of each line."""
        return self._written("test", self.parts.test, self._writing)

    def _written(self, name: str, rows: I64, toll: Toll) -> Mapping[str, I64]:
        if name not in self._rows:
            with toll.making(self._made, name):
                self._rows[name] = write_rows(
                    self.of, self.catalogue.sources, self.catalogue.lines, rows, self.root / name
                )
        toll.owed += self._made[name]
        return self._rows[name]
