"""Fields that hold numbers, and from some line on text: noticed, since nobody watches numbers that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from oddlog.types import I64, Tally

FEWEST_NUMBERS = 100  # values of a field before its first word: with fewer it holds both by nature, as "-" for no size
MOST_NAMED = 16  # fields that are counted under their own name
OTHERS = "a further field holds text where it held numbers"


class Turning:
    """Counts the lines in which a field of a source holds text after it has held nothing but numbers.

    Parameters
    ----------
    tally : Tally
        Takes how many lines, by field, and where the first one stands.
    numeric : collection of str
        Fields that are known to hold numbers, without ``n.``: those that a model watches.

    """

    def __init__(self, tally: Tally, numeric: Collection[str] = ()) -> None:
        self._tally = tally
        self.numbers = Counter(dict.fromkeys(numeric, FEWEST_NUMBERS))  # numbers that have stood in a field
        self._mixed: set[str] = set()
        self._turned: set[str] = set()

    def note(self, records: pl.DataFrame) -> None:
        """Look at the next block of the source."""
        counted = {name[2:] for name in records.columns if name.startswith("n.")}
        for field in sorted({*counted, *self.numbers} - self._mixed):
            numbers = records[f"n.{field}"].is_not_null() if field in counted else None
            if f"f.{field}" in records.columns:
                self._words(field, numbers, records)
            if numbers is not None:
                self.numbers[field] += int(numbers.sum())

    @staticmethod
    def note_all(turnings: Sequence[Turning], of: I64, records: pl.DataFrame) -> None:
        """Look at the next blocks of several sources at once; `of` says which of them each record is of."""
        counted = {name[2:] for name in records.columns if name.startswith("n.")}
        worded = {name[2:] for name in records.columns if name.startswith("f.")}
        told = counted | set().union(*(one.numbers for one in turnings))
        if any(records[f"f.{field}"].null_count() < len(records) for field in sorted(told & worded)):
            for i, one in enumerate(turnings):
                one.note(records.filter(pl.Series(of == i)))
            return
        for field in sorted(counted):
            few = [i for i, one in enumerate(turnings) if one.numbers[field] < FEWEST_NUMBERS]
            if few:
                numbers = np.bincount(of[records[f"n.{field}"].is_not_null().to_numpy()], minlength=len(turnings))
                for i in few:
                    turnings[i].numbers[field] += int(numbers[i])

    def _words(self, field: str, numbers: pl.Series | None, records: pl.DataFrame) -> None:
        words = records[f"f.{field}"].is_not_null()
        first = words.arg_max() if words.any() else None
        if first is None:
            return
        before = self.numbers[field] + (0 if numbers is None else int(numbers.head(first).sum()))
        if field not in self._turned and before < FEWEST_NUMBERS:
            self._mixed.add(field)
            return
        self._turned.add(field)
        reason = f"field {field} holds text where it held numbers"
        if (
            reason not in self._tally.counts
            and sum(told.startswith("field ") for told in self._tally.counts) >= MOST_NAMED
        ):
            reason = OTHERS
        place = f"{records['source'][first]}:{records['line'][first]}"
        self._tally.add(reason, int(words.sum()), example=place)
