"""The words that the lines of a window are made of, whatever their types: hashed, so that no vocabulary is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.features.counts import ragged
from oddlog.types import F64, I64, Windows

WIDTH = 1_024
"""Columns that words are hashed into; a column more is for lines of unseen types."""
MAX_TEXTS = 100_000
"""Types unseen by a model whose words are looked up."""
ROWS_AT_ONCE = 1_024
"""Windows whose words are counted at once."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


@dataclass(frozen=True)
class Words:
    """Which columns the words of each template fall into.

    Words are cut at capitals, digits and signs and taken in lower case; two neighbours make a feature too, so that
    *not found* is more than its words. Variables (``<*>``) are left out. BLAKE2b-64 of a feature gives its column.

    Attributes
    ----------
    indptr : I64 [k + 2]
        Template ``i`` has the columns ``column[indptr[i]:indptr[i + 1]]``; what is unseen has the last entry, its own.
    column : I64 [x]
        Ascending within a template, none twice.
    told : int
        How many of the last templates are unseen by the model, and told by their texts only.

    """

    indptr: I64
    column: I64
    told: int = 0

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return the columns of each text [k].

        >>> words = Words.of(["Block <*> not found", "notFound <*>"])
        >>> a, b = (set(words.column[i:j]) for i, j in zip(words.indptr[:2], words.indptr[1:3]))
        >>> len(a), len(b), b < a  # block, not, found and two pairs; not, found and their pair
        (5, 3, True)
        """
        parts = [_columns(text) for text in texts]
        parts.append([WIDTH])
        lengths = [len(part) for part in parts]
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.array([one for part in parts for one in part], np.int64),
        )

    def with_texts(self, texts: Sequence[str]) -> Self:
        """Return the columns of further templates behind the model's: at most `MAX_TEXTS`, the others stay unseen."""
        own, more = self._own(), type(self).of(texts[:MAX_TEXTS])
        indptr = np.concatenate([own.indptr[:-1], more.indptr[1:] + own.indptr[-2]])
        return type(self)(indptr, np.concatenate([own.column[: own.indptr[-2]], more.column]), more.k)

    def _own(self) -> Self:
        """Return the columns of the model's templates alone."""
        if not self.told:
            return self
        k = self.k - self.told
        return type(self)(
            np.append(self.indptr[: k + 1], self.indptr[k] + 1), np.append(self.column[: self.indptr[k]], WIDTH)
        )

    @property
    def k(self) -> int:
        """Types whose words are known."""
        return len(self.indptr) - 2

    def counts(self, windows: Windows) -> F64:
        """Return ln(1 + lines that hold it) of each column and window [w, WIDTH + 1]: ask for a few thousand."""
        width = self.k + 1
        row = np.minimum(windows.template, self.k).astype(np.int64)
        cell, n = np.unique(windows.window_of_event * width + row, return_counts=True)
        window, row = np.divmod(cell, width)
        lengths = np.diff(self.indptr)[row]
        column = self.column[ragged(self.indptr[row], lengths)]
        at = np.repeat(window, lengths) * (WIDTH + 1) + column
        lines = np.bincount(at, np.repeat(n, lengths), minlength=len(windows) * (WIDTH + 1))
        logs: F64 = np.log1p(lines.reshape(len(windows), WIDTH + 1))
        return logs

    def each(self, windows: Windows, value: Callable[[F64], F64]) -> F64:
        """Return what `value` makes of the `counts` [b, WIDTH + 1] of all windows [w], a thousand at a time."""
        found: F64 = np.empty(len(windows))
        for start in range(0, len(windows), ROWS_AT_ONCE):
            part = windows.take(np.arange(start, min(start + ROWS_AT_ONCE, len(windows))))
            found[start : start + ROWS_AT_ONCE] = value(self.counts(part))
        return found

    def sums(self, weight: F64) -> F64:
        """Return the sum of the weights [WIDTH + 1] of each template's columns [k + 1], that of an unseen one last."""
        template = np.repeat(np.arange(self.k + 1), np.diff(self.indptr))
        return np.bincount(template, weight[self.column], minlength=self.k + 1).astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, of the model's own templates."""
        own = self._own()
        return {"words.indptr": own.indptr, "words.column": own.column}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild."""
        return cls(arrays["words.indptr"], arrays["words.column"])


def _columns(text: str) -> list[int]:
    """Return the columns of one text, ascending."""
    words = [word.lower() for word in _WORD.findall(text.replace("<*>", " "))]
    features = {*words, *(f"{a} {b}" for a, b in pairwise(words))}
    digests = (hashlib.blake2b(feature.encode(), digest_size=8).digest() for feature in features)
    return sorted({int.from_bytes(digest, "little") % WIDTH for digest in digests})
