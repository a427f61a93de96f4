"""The numbers beside the templates: chosen in the first records, then read from every block.

A number is a found field, or a parameter slot of one masked text, called ``<key as 16 hex digits>:<slot>``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from oddlog.explain import marked
from oddlog.features.numbers import (
    LEAST_NUMERIC,
    LEAST_VALUES,
    Candidate,
    candidate,
    choose,
    parse,
    unit_behind,
    unit_in_name,
)
from oddlog.templates import Masked, mask
from oddlog.types import F64, I64, Number

MOST_KEYS = 200  # masked texts whose slots are looked at, the most frequent ones
MOST_SLOTS = 8  # of each
JUDGED = 2_000  # lines of each, evenly spread over the sample
_SLOT = re.compile(r"^([0-9a-f]{16}):(\d+)$")
_VARIABLE = "<*>"
_SIMPLE = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")  # a number that every reader of numbers reads alike
_FEW = 2_000  # up to so many lines each is looked at by itself, since a call of Polars costs as much as dozens


def choose_numbers(head: pl.DataFrame) -> tuple[tuple[Number, ...], list[dict[str, Any]]]:
    """Return the numbers worth watching, and the facts of all candidates, from the first records of a fit."""
    found = [_field(head[name], name[2:]) for name in head.columns if name.startswith("n.")]
    numbers, told = choose([*found, *_slots(mask(head["message"]))], len(head))
    return numbers, [one.facts() for one in told]


def _field(column: pl.Series, name: str) -> Candidate:
    there = column.drop_nulls()
    some = there.gather(_spread(len(there))).cast(pl.Float64).to_numpy()
    return candidate(name, some, unit_in_name(name), len(there), name)


def _spread(n: int) -> I64:
    """Return at most `JUDGED` positions, evenly spread over `n`."""
    return np.unique(np.linspace(0, n - 1, min(n, JUDGED)).astype(np.int64)) if n else np.empty(0, np.int64)


def _slots(masked: Masked) -> list[Candidate]:
    count = np.bincount(masked.inverse, minlength=len(masked.distinct_key))
    order = np.lexsort((masked.distinct_key, -count))[:MOST_KEYS]
    found: list[Candidate] = []
    for i in order.tolist():
        text = masked.distinct_text[i]
        n_slots = min(text.count(_VARIABLE), MOST_SLOTS)
        if count[i] < LEAST_VALUES or not n_slots:
            continue
        rows = np.flatnonzero(masked.inverse == i)
        some = rows[_spread(len(rows))]
        found += [
            one
            for slot in range(n_slots)
            if (one := _slot(masked, some, int(masked.distinct_key[i]), slot, text, int(count[i]))) is not None
        ]
    return found


def _slot(masked: Masked, rows: I64, key: int, slot: int, text: str, lines: int) -> Candidate | None:
    """Return the judged slot, None if it holds words."""
    read = parse(masked.parameters(rows, slot))
    if read["value"].null_count() > (1 - LEAST_NUMERIC) * len(read):
        return None
    units = Counter(read["unit"].drop_nulls().to_list())
    unit = units.most_common(1)[0][0] or unit_behind(text, slot)
    values = read["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return candidate(f"{key:016x}:{slot}", values, unit, lines, marked(text, slot))


class NumberColumns:
    """Reads the chosen numbers of each block of records.

    Parameters
    ----------
    numbers : sequence of Number
        In the order of their columns, ``n.00``, ``n.01``, ….

    """

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._fields: dict[int, str] = {}
        self._slots: dict[int, list[tuple[int, int]]] = defaultdict(list)  # key -> (column, slot)
        for column, number in enumerate(numbers):
            slot = _SLOT.match(number.name)
            if slot is None:
                self._fields[column] = f"n.{number.name}"
            else:
                self._slots[int(slot[1], 16)].append((column, int(slot[2])))
        self._n = len(numbers)

    @property
    def fields(self) -> tuple[str, ...]:
        """The found fields among them, without ``n.``."""
        return tuple(name[2:] for name in self._fields.values())

    def of(self, records: pl.DataFrame, masked: Masked) -> list[pl.Series]:
        """Return a column (f32, null = absent) for each number, as long as `records`, which were masked."""
        n = len(records)
        nothing = pl.Series([None], dtype=pl.Float32).new_from_index(0, n)
        columns = [nothing.alias(f"n.{i:02d}") for i in range(self._n)]
        for column, name in self._fields.items():
            if name in records.columns:
                columns[column] = records[name].cast(pl.Float32, strict=False).alias(f"n.{column:02d}")
        if not self._slots:
            return columns
        watched = np.flatnonzero(np.isin(masked.distinct_key, list(self._slots)))
        read = self._few(masked, watched) if n <= _FEW else self._many(masked, watched)
        for column, rows, values in read:
            whole = np.full(n, np.nan, np.float32)
            whole[rows] = values
            columns[column] = pl.Series(f"n.{column:02d}", whole, nan_to_null=True)
        return columns

    def _many(self, masked: Masked, watched: I64) -> Iterator[tuple[int, I64, F64]]:
        """Yield column, rows and their numbers of each slot of the masked texts at `watched`."""
        for at in watched.tolist():
            rows = np.flatnonzero(masked.inverse == at)
            for column, slot in self._slots[int(masked.distinct_key[at])]:
                yield column, rows, _numbers(masked.parameters(rows, slot))

    def _few(self, masked: Masked, watched: I64) -> Iterator[tuple[int, I64, F64]]:
        """Yield what `_many` yields, with all lines looked at once."""
        rows = np.flatnonzero(np.isin(masked.inverse, watched))
        pairs = [self._slots[int(key)] for key in masked.key[rows].tolist()]
        found = masked.few_parameters(rows, [[slot for _, slot in pair] for pair in pairs])
        of_column: dict[int, tuple[list[int], list[str | None]]] = defaultdict(lambda: ([], []))
        for row, pair, texts in zip(rows.tolist(), pairs, found, strict=True):
            for (column, _), text in zip(pair, texts, strict=True):
                of_column[column][0].append(row)
                of_column[column][1].append(text)
        for column, (at, texts) in of_column.items():
            if all(text is not None and _SIMPLE.fullmatch(text) for text in texts):
                yield column, np.array(at), np.array([float(text or 0) for text in texts])
            else:
                yield column, np.array(at), _numbers(pl.Series(texts, dtype=pl.String))


def _numbers(text: pl.Series) -> F64:
    """Return the numbers [x] that texts hold, in the unit that is kept; NaN where there is none."""
    plain = text.cast(pl.Float64, strict=False)  # most numbers have no unit behind them: five times as fast
    if plain.null_count() > text.null_count():
        plain = parse(text)["value"]
    values = plain.fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)  # a word such as "inf" is read as a number too
