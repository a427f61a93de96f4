"""Keys to rows of a frozen model. Detection never learns: the rows of a model stay what they were.

A key that the model has never seen gets the row of a template that it fits, or a row of its own behind the
model's: it is news, and stays recognisable as the same news.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.errors import InternalError
from oddlog.templates.frames import Frames, frames
from oddlog.templates.mask import Masked, Masker, key_of_text
from oddlog.types import I64, OVERFLOW, U32, U64, Bool, State, Templates

OVERFLOW_TEXT = "(a type beyond the limit of types)"


class Matcher:
    """Find the row of each key, known or not.

    Parameters
    ----------
    templates : Templates
        Of the model.
    max_unseen : int
        Types unseen by the model that get a row of their own, in order of first appearance; the others are
        `OVERFLOW`.

    """

    def __init__(self, templates: Templates, *, max_unseen: int = 1_000_000) -> None:
        self.templates = templates
        self.max_unseen = max_unseen
        self._wild = _wild_frames(templates)
        self._fitting: dict[int, int] = {}  # unknown key → row of the template it fits
        self._unseen: dict[int, int] = {}  # unknown key → its own row
        self._unseen_key: list[int] = []
        self._unseen_text: list[str] = []
        self._key_of: dict[int, int] = {}  # row of the model → key of its text, once it was asked for
        self._masker = Masker()

    @property
    def n_unseen(self) -> int:
        """How many types unseen by the model have a row of their own."""
        return len(self._unseen)

    @property
    def unseen_texts(self) -> tuple[str, ...]:
        """The masked texts of the types unseen by the model, of rows k and on."""
        return tuple(self._unseen_text)

    def mask(self, messages: pl.Series) -> Masked:
        """Return what `templates.mask` returns, the sooner the more often such messages have come."""
        return self._masker.mask(messages)

    def rows(self, key: U64, text: pl.Series) -> U32:
        """Return the row of each key [x].

        Parameters
        ----------
        key : U64 [x]
            Distinct keys in order of first appearance.
        text : pl.Series of str, [x]
            Their masked texts.

        Returns
        -------
        U32 [x]
            A row of the model; from k on a type unseen by it; `OVERFLOW` beyond the limits. Any batching of the
            same order of arrival gives the same rows.

        """
        known = self.templates.rows_of(key)
        strange = np.flatnonzero(known < 0)
        if len(strange):
            self._learn_fits(key[strange], text.gather(strange))
            for i in strange:
                known[i] = self._row_of_strange(int(key[i]), text, int(i))
        return known.astype(np.uint32)

    def state(self) -> State:
        """Return the types unseen by the model, for `restore`."""
        return State(meta={"text": self._unseen_text, "key": [f"{key:x}" for key in self._unseen_key]})

    def restore(self, state: State) -> None:
        """Take over the unseen types of another matcher of the same templates; this one must be new."""
        for key, text in zip(state.meta["key"], state.meta["text"], strict=True):
            self._unseen[int(key, 16)] = len(self.templates) + self.n_unseen
            self._unseen_key.append(int(key, 16))
            self._unseen_text.append(text)

    def unseen_key(self, row: int) -> int:
        """Return the key of an unseen type."""
        return self._unseen_key[self._place(row)]

    def unseen_text(self, row: int) -> str:
        """Return the masked text of an unseen type."""
        return self._unseen_text[self._place(row)]

    def text_of(self, row: int) -> str:
        """Return the text of any row that `rows` has given."""
        if row == OVERFLOW:
            return OVERFLOW_TEXT
        return self.templates.text[row] if row < len(self.templates) else self.unseen_text(row)

    def key_of(self, row: int) -> int:
        """Return the key of a row's text: the same in every model that has this template.

        For a template that merging has made, this is the key of its canonical text.
        """
        if len(self.templates) <= row != OVERFLOW:
            return self.unseen_key(row)
        if row not in self._key_of:
            self._key_of[row] = int(key_of_text(pl.Series([self.text_of(row)]))[0])
        return self._key_of[row]

    def _place(self, row: int) -> int:
        place = row - len(self.templates)
        if not 0 <= place < self.n_unseen:
            raise InternalError(
                f"Row {row} is no unseen type: the model has {len(self.templates)} rows, {self.n_unseen} are unseen."
            )
        return place

    def _row_of_strange(self, key: int, text: pl.Series, i: int) -> int:
        row = self._fitting.get(key, self._unseen.get(key))
        if row is not None:
            return row
        if self.n_unseen >= self.max_unseen:
            return OVERFLOW
        row = len(self.templates) + self.n_unseen
        self._unseen[key] = row
        self._unseen_key.append(key)
        self._unseen_text.append(text[i])
        return row

    def _learn_fits(self, key: U64, text: pl.Series) -> None:
        """Remember which unknown keys fit exactly one merged template."""
        new = np.array([int(k) not in self._unseen and int(k) not in self._fitting for k in key])
        if not self._wild or not new.any():
            return
        key, text = key[new], text.filter(pl.Series(new))
        for same_length in frames(text):
            fits = _fits(same_length, self._wild.get(same_length.mixed.shape[1], []))
            for i in np.flatnonzero(fits >= 0):
                if len(self._fitting) < self.max_unseen:
                    self._fitting[int(key[same_length.index[i]])] = int(fits[i])


@dataclass(frozen=True)
class _Wild:
    """Merged templates with variables at the same positions of texts of the same length."""

    blank: Bool  # [t]
    total: U64  # [x] fingerprints, ascending
    row: I64  # [x]


def _wild_frames(templates: Templates) -> dict[int, list[_Wild]]:
    """Return the templates made by merging, by number of tokens. The others hold no word that may vary."""
    merged = np.flatnonzero(np.bincount(templates.row[templates.row != OVERFLOW]) > 1)
    wild: dict[int, list[_Wild]] = {}
    for same_length in frames(pl.Series([templates.text[row] for row in merged], dtype=pl.String)):
        blanks, back = np.unique(same_length.mixed == same_length.blank, axis=0, return_inverse=True)
        total = same_length.mixed.sum(axis=1)
        for i, blank in enumerate(blanks):
            at = np.flatnonzero(back == i)
            at = at[np.argsort(total[at])]
            wild.setdefault(len(blank), []).append(_Wild(blank, total[at], merged[same_length.index[at]]))
    return wild


def _fits(same_length: Frames, wild: list[_Wild]) -> I64:
    """Return the row of the only template that each text [g] fits, -1 where there is none or are several."""
    fits = np.full(len(same_length), -1)
    n_fits = np.zeros(len(same_length), np.int64)
    for template in wild:
        words = same_length.is_word[:, template.blank].all(axis=1)
        total = np.where(template.blank, same_length.blank, same_length.mixed).sum(axis=1)
        at = np.minimum(np.searchsorted(template.total, total), len(template.total) - 1)
        fit = words & (template.total[at] == total)
        fits[fit] = template.row[at[fit]]
        n_fits += fit
    return np.where(n_fits == 1, fits, -1)
