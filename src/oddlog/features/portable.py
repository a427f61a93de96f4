"""Event vectors that mean the same at every site, whatever its message types, services and numbers are.

`fused` lays its columns out by what one model's training holds. Here the layout is fixed, so that sites whose logs
have nothing in common can share a network's weights; only yardsticks (means, deviations, how rare a type is) are
each site's own, and stay there.

========  ====  ==================================================================================================
type      107   64 of the text's embedding (`text.embed`, frozen: the same at every site), 32 signs hashed from the
                text, so that no two types are quite alike, 9 groups of words it speaks of, how rare it is, whether
                it is unseen
level     8     one column a level
service   8     signs hashed from the name; 0 where there is one service, or it is unseen
numbers   16    each standardised value times the signs hashed from its name, summed; the same of which are there
time      6     gap, rate, hour and weekday (0 where training spans too little)
place     1     first of its window
========  ====  ==================================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.features.fused import CYCLES, FURTHEST, Fused
from oddlog.features.keywords import GROUPS, keywords
from oddlog.features.text import WIDTH as TEXT
from oddlog.features.text import embed
from oddlog.types import F32, F64, I64, LEVELS, Context, Windows

TYPE_SIGNS = 32
"""Signs hashed from a template's text: two of 1,000 types share all of them with a chance of 1e-4."""
NAME_SIGNS = 8
"""Signs hashed from the name of a service or a number."""
RARITY_UNIT = 5.0
"""-ln of a type's share of the events, divided by this, is about 1."""
TYPE = TEXT + TYPE_SIGNS + len(GROUPS) + 2
TIME = 2 + 2 * len(CYCLES)
WIDTH = TYPE + len(LEVELS) + NAME_SIGNS + 2 * NAME_SIGNS + TIME + 1
"""Columns of a vector."""


@dataclass(frozen=True)
class Portable:
    """How one site's events become vectors.

    Attributes
    ----------
    of_type : F32 [k + 1, 107]
        The type columns of each template row; the last row serves every unseen type.
    of_service : F32 [s + 1, 8]
        The columns of each service, the last row for unseen ones.
    of_number : F32 [n, 8]
        Signs of each number's name.
    measures : Fused
        Whose yardsticks of numbers and times are used.

    """

    of_type: F32
    of_service: F32
    of_number: F32
    measures: Fused

    @classmethod
    def learn(cls, windows: Windows, context: Context) -> Self:
        """Learn a site's yardsticks from usual windows [w]."""
        k = len(context.templates)
        weight = windows.weight[windows.window_of_event]
        count: F64 = np.bincount(np.minimum(windows.template, k), weight, minlength=k + 1).astype(np.float64)
        several = len(context.services) > 1
        services = _signs(context.services, NAME_SIGNS) * several
        return cls(
            _types(context.templates.text, count),
            np.vstack([services, np.zeros((1, NAME_SIGNS), np.float32)]),
            _signs([number.name for number in context.numbers], NAME_SIGNS),
            Fused.learn(windows, context),
        )

    def vectors(self, windows: Windows, first: I64, event: I64) -> F32:
        """Return the vectors of some events [x, 146].

        Parameters
        ----------
        windows : Windows
            That hold them.
        first : I64 [x]
            The first event of each one's window.
        event : I64 [x]
            Positions of the events.

        """
        fused, n = self.measures, len(self.of_number)
        raw = fused.measured(windows, first, event)
        scaled = np.clip(np.nan_to_num((raw - fused.mean) / fused.std, nan=0.0), -FURTHEST, FURTHEST).astype(np.float32)
        times = np.zeros((len(event), TIME), np.float32)
        times[:, self._time_columns] = scaled[:, 2 * n : -1]
        return np.concatenate(
            [
                self.of_type[np.minimum(windows.template[event], len(self.of_type) - 1)],
                np.eye(len(LEVELS), dtype=np.float32)[np.minimum(windows.level[event], len(LEVELS) - 1)],
                self.of_service[np.minimum(windows.service[event], len(self.of_service) - 1)],
                scaled[:, :n] @ self.of_number,
                raw[:, n : 2 * n].astype(np.float32) @ self.of_number,
                times,
                raw[:, -1:].astype(np.float32),
            ],
            axis=1,
        )

    @property
    def _time_columns(self) -> list[int]:
        cycles = [2 + 2 * i + part for i, name in enumerate(CYCLES) if name in self.measures.cycles for part in (0, 1)]
        return [0, 1, *cycles]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` takes, for safetensors."""
        own = {f"portable.{name}": getattr(self, name) for name in ("of_type", "of_service", "of_number")}
        return {**own, **self.measures.arrays()}

    def meta(self) -> dict[str, Any]:
        """Return what `from_arrays` takes, for JSON."""
        return self.measures.meta()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Self:
        """Rebuild from what `arrays` and `meta` returned; other arrays are passed over."""
        own = {name: arrays[f"portable.{name}"] for name in ("of_type", "of_service", "of_number")}
        return cls(**own, measures=Fused.from_arrays(arrays, meta))


def _types(texts: Sequence[str], count: F64) -> F32:
    """Return the type columns of each row, the unseen type last [k + 1, 107]."""
    k = len(texts)
    found = np.zeros((k + 1, TYPE), np.float32)
    if k:
        found[:k, :TEXT] = embed(texts) * np.sqrt(TEXT)  # length 1 to begin with: now a column is about 1
        found[:k, TEXT : TEXT + TYPE_SIGNS] = _signs(texts, TYPE_SIGNS)
        found[:k, TEXT + TYPE_SIGNS : -2] = keywords(texts)
    share = (count + 0.5) / (count.sum() + 0.5)
    share[k] = 0.5 / (count.sum() + 0.5)
    found[:, -2] = -np.log(share) / RARITY_UNIT
    found[k, -1] = 1
    return found


def _signs(texts: Sequence[str], n: int) -> F32:
    """Return signs that depend on each text alone [x, n]."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=n // 8).digest() for text in texts)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(-1, n // 8), axis=1)
    return 2 * bits.astype(np.float32) - 1
