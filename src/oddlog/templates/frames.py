"""Masked texts as rows of token fingerprints, so that frames with a blank compare as numbers.

A text is cut into words and what stands between them::

    Failed password for root from <*>      →  Failed| |password| |for| |root| |from| |<*>

The fingerprint of a text is the sum of one mixed number per (token, position). Blanking a position is one
subtraction and one addition, so all texts that differ in one word only are found by sorting sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.templates.rules import VARIABLE
from oddlog.types import I64, U64, Bool

_SEPARATORS = r""" \t\r\n,;:=()\[\]{}"'>|"""
TOKEN = rf"(?:<\*>|[^<{_SEPARATORS}])+(?::<\*>)*|[{_SEPARATORS}]+|<"
_WORD_START = rf"^(?:<\*>|[^<{_SEPARATORS}])"


_NAME = r"[./\\@~]|^<\*>$"
"""What makes a word a name (a host, a path, a class, an address) and not a word of the language."""

MAX_TOKENS = 128
"""Longer texts are left as they are: a table of two million of them must stay in memory."""
_CHUNK = 100_000  # texts cut into tokens at once: as strings they take more room than as fingerprints

_SEED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Frames:
    """Texts that have the same number of tokens.

    Attributes
    ----------
    index : I64 [g]
        Where the texts stand in the series they came from.
    mixed : U64 [g, t]
        Fingerprint of each token at its position; a row's sum is the fingerprint of the text.
    blank : U64 [t]
        Fingerprint of a variable at each position.
    is_word, is_name, has_letter : Bool [g, t]
        Whether the token is a word (not what stands between words); a word that looks like an identifier;
        a word that is not a variable and holds a letter.

    """

    index: I64
    mixed: U64
    blank: U64
    is_word: Bool
    is_name: Bool
    has_letter: Bool

    def __len__(self) -> int:
        return len(self.index)


def frames(text: pl.Series) -> Iterator[Frames]:
    """Yield the texts [u] by number of tokens, ascending; those without a token or with too many are left out."""
    lengths = text.str.count_matches(TOKEN).to_numpy()
    for t in np.unique(lengths[(lengths > 0) & (lengths <= MAX_TOKENS)]).tolist():
        index = np.flatnonzero(lengths == t)
        parts = [_fingerprints(text.gather(index[i : i + _CHUNK]), t) for i in range(0, len(index), _CHUNK)]
        mixed, is_word, is_name, has_letter = (np.concatenate(column) for column in zip(*parts, strict=True))
        blank = _mix(pl.Series([VARIABLE]).hash().to_numpy(), np.arange(t, dtype=np.uint64))
        yield Frames(index, mixed, blank, is_word, is_name, has_letter)


def _fingerprints(text: pl.Series, t: int) -> tuple[U64, Bool, Bool, Bool]:
    """Return `Frames.mixed`, `is_word`, `is_name` and `has_letter` of texts of `t` tokens.

    Polars' hash serves for equality within one process only, never for order and never on disk.
    """
    token = text.str.extract_all(TOKEN).list.explode().alias("token")
    distinct = token.unique(maintain_order=True)
    marks = pl.DataFrame(
        {
            "token": distinct,
            "hash": distinct.hash(),
            "is_word": distinct.str.contains(_WORD_START),
            "is_name": distinct.str.contains(_NAME),
            "has_letter": distinct.str.contains(r"\p{L}"),
        }
    )
    found = token.to_frame().join(marks, on="token", how="left", maintain_order="left")
    hashes, is_word, is_name, has_letter = (found[name].to_numpy().reshape(-1, t) for name in marks.columns[1:])
    return _mix(hashes, np.arange(t, dtype=np.uint64)), is_word, is_word & is_name, is_word & has_letter


def _mix(token: U64, position: U64) -> U64:
    """Return the finaliser of splitmix64 (Steele et al., OOPSLA 2014, figure 16) of token and position."""
    x = token + (position + np.uint64(1)) * _SEED
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: U64 = x ^ (x >> np.uint64(31))
    return mixed
