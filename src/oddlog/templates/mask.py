"""A message becomes a key: what varies is masked, and the masked text is hashed.

The mask is a pure function of the message alone. It knows no other message, no model and no machine, so the
same text has the same key everywhere and for ever; only the miner, later, says which keys belong together.

One cheap rule runs on every line; the dearer rules of `rules.py` run on the distinct results of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl

from oddlog.templates.rules import (
    BLANKS,
    CHEAP,
    FIND,
    MAX_CHARS,
    MAX_VARIABLES,
    REPLACEMENT,
    RULES,
    VARIABLE,
    cut_long,
    cut_variables,
    trace,
)
from oddlog.types import I64, U32, U64, Bool

_FEW = 2_000  # up to so many texts a dictionary is faster than Polars, whose every call costs a tenth of a millisecond
_SHORT = 1_000  # characters of a text that is remembered with what its variables are made of
_RADIX = 1 << 16  # up to so many groups numpy sorts by radix, ten times as fast


@dataclass(frozen=True)
class Masked:
    """Messages as keys, with the way back to what was masked.

    Attributes
    ----------
    key : U64 [lines]
        BLAKE2b-64 of each masked text.
    inverse : U32 [lines]
        The distinct masked text of each line.
    distinct_key : U64 [u]
        Key of each distinct masked text.
    distinct_text : pl.Series [u]
        The distinct masked texts in order of first appearance, variables as ``<*>``.

    """

    key: U64
    inverse: U32
    distinct_key: U64
    distinct_text: pl.Series
    _message: pl.Series = field(repr=False)
    _cheap_text: pl.Series = field(repr=False)  # [v] distinct texts after the cheap rule only
    _cheap_inverse: U32 = field(repr=False)  # [lines] into _cheap_text

    def __len__(self) -> int:
        return len(self.key)

    def variables(self, rows: I64 | Bool | None = None) -> pl.Series:
        """Return what stood at each variable of `rows` [x] (positions or a mask; None: all) as lists of str.

        The list of a line is as long as its masked text has ``<*>``, at most 40: the 40th is the rest of the
        line.
        """
        return self._extract(rows, None)

    def parameters(self, rows: I64 | Bool | None, slot: int) -> pl.Series:
        """Return the str that stood at variable number `slot` (from 0) of `rows` [x]; null where there is none."""
        return self._extract(rows, slot)

    def few_parameters(self, rows: I64, slots: Sequence[Sequence[int]]) -> list[list[str | None]]:
        """Return what stood at the `slots` [x] of some `rows` [x]; as `parameters`, but all at once.

        Made for few lines, a hundred or a thousand: a call of Polars costs as much as dozens of them.
        """
        found = _find(self._message.gather(rows)).to_list()
        cheap = self._cheap_text.gather(self._cheap_inverse[rows]).to_list()
        return [
            [_filled(variables, _trace(text), slot) for slot in wanted]
            for variables, text, wanted in zip(found, cheap, slots, strict=True)
        ]

    def _extract(self, rows: I64 | Bool | None, slot: int | None) -> pl.Series:
        """Find the cheap variables of the messages again and put together those that a later rule joined."""
        message, cheap = self._message, self._cheap_inverse
        if rows is not None:
            rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
            message, cheap = message.gather(rows), cheap[rows]
        shapes: dict[tuple[int, tuple[str, ...]], int] = {}
        shape_of = np.zeros(len(self._cheap_text), np.uint32)
        used = np.flatnonzero(np.bincount(cheap, minlength=len(self._cheap_text)))
        for i, text in zip(used, self._cheap_text.gather(used), strict=True):
            shape_of[i] = shapes.setdefault(_shape(text, slot), len(shapes))
        found = _find(message)
        if len(shapes) <= 1:
            return _assemble(found, *next(iter(shapes), (0, ("",))), slot)
        return _by_shape(found, shape_of[cheap], list(shapes), slot)


@lru_cache(maxsize=5_000)
def _short_trace(text: str) -> tuple[str, ...]:
    return trace(text)


def _trace(text: str) -> tuple[str, ...]:
    return _short_trace(text) if len(text) <= _SHORT else trace(text)


def _filled(variables: list[str], sources: tuple[str, ...], slot: int) -> str | None:
    """Return the text of one slot from the cheap variables of a line; None where there is none."""
    if slot >= len(sources):
        return None
    literals = sources[slot].split(VARIABLE)
    first = sum(source.count(VARIABLE) for source in sources[:slot])
    filling = variables[first : first + len(literals) - 1]
    if literals == [""] or len(filling) < len(literals) - 1:
        return None
    return "".join(part for pair in zip(literals, [*filling, ""], strict=True) for part in pair)


def _find(message: pl.Series) -> pl.Series:
    """Return the cheap variables of each message [x] as lists."""
    has_mark = message.str.contains(VARIABLE, literal=True).any()
    return message.str.extract_all(FIND if has_mark else CHEAP)


def _by_shape(found: pl.Series, shape: U32, shapes: list[tuple[int, tuple[str, ...]]], slot: int | None) -> pl.Series:
    """Put the lines of one shape together at once, then bring all back into their order."""
    order = np.argsort(shape.astype(np.uint16) if len(shapes) <= _RADIX else shape, kind="stable")
    found = found.gather(order)
    ends = np.cumsum(np.bincount(shape, minlength=len(shapes))).tolist()
    parts = [
        _assemble(found.slice(start, end - start), *key, slot)
        for key, start, end in zip(shapes, [0, *ends[:-1]], ends, strict=True)
    ]
    back = np.empty(len(order), np.uint32)
    back[order] = np.arange(len(order), dtype=np.uint32)
    return pl.concat(parts, rechunk=True).gather(back)


def mask(messages: pl.Series) -> Masked:
    """Mask what varies in each message: strings in, keys and positions out.

    Parameters
    ----------
    messages : pl.Series of str, [lines]
        Null counts as the empty message.

    Returns
    -------
    Masked

    Examples
    --------
    >>> masked = mask(pl.Series(["Served block blk_-38 to /192.0.2.7:50010", "Served block blk_5 to /192.0.2.9:80"]))
    >>> masked.distinct_text.to_list(), masked.parameters(None, 1).to_list()
    (['Served block <*> to <*>'], ['/192.0.2.7:50010', '/192.0.2.9:80'])

    """
    message = messages.fill_null("")
    cheap_text, cheap_inverse = _distinct(message.str.replace_all(CHEAP, VARIABLE))
    text, inverse = _distinct(_mask_cheap(cheap_text))
    key = key_of_text(text)
    inverse = inverse[cheap_inverse]
    return Masked(key[inverse], inverse, key, text, message, cheap_text, cheap_inverse)


class Masker:
    """`mask` that remembers: what the cheap rule leaves comes again and again, the dear rules need not run again.

    Parameters
    ----------
    most_texts, most_chars : int
        So much is remembered; beyond it everything is forgotten at once, and remembered anew.

    """

    def __init__(self, most_texts: int = 50_000, most_chars: int = 16 << 20) -> None:
        self._most_texts, self._most_chars = most_texts, most_chars
        self._known: dict[str, tuple[str, int]] = {}  # after the cheap rule → masked text, key
        self._chars = 0

    def mask(self, messages: pl.Series) -> Masked:
        """Return what `mask` returns."""
        message = messages.fill_null("") if messages.null_count() else messages
        cheap_text, cheap_inverse = _distinct(message.str.replace_all(CHEAP, VARIABLE))
        found = self._of(cheap_text)
        place: dict[str, int] = {}
        inverse = np.array([place.setdefault(text, len(place)) for text, _ in found], np.uint32)
        key = np.fromiter(dict(found).values(), np.uint64, len(place))
        inverse = inverse[cheap_inverse]
        texts = pl.Series("text", list(place), dtype=pl.String)
        return Masked(key[inverse], inverse, key, texts, message, cheap_text, cheap_inverse)

    def _of(self, cheap: pl.Series) -> list[tuple[str, int]]:
        """Return masked text and key of texts [v] after the cheap rule."""
        texts: list[str] = cheap.to_list()
        missing = [text for text in texts if text not in self._known]
        if missing:
            if len(self._known) > self._most_texts or self._chars > self._most_chars:
                self._known, self._chars = {}, 0
                missing = texts
            masked = _mask_cheap(pl.Series("text", missing, dtype=pl.String))
            self._known.update(
                zip(missing, zip(masked.to_list(), key_of_text(masked).tolist(), strict=True), strict=True)
            )
            self._chars += 2 * sum(map(len, missing))
        return [self._known[text] for text in texts]


def key_of_text(text: pl.Series) -> U64:
    """Return the BLAKE2b-64 (RFC 7693, little-endian) of each masked text [u] in UTF-8."""
    digests = b"".join(hashlib.blake2b(t.encode(), digest_size=8).digest() for t in text)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _distinct(text: pl.Series) -> tuple[pl.Series, U32]:
    """Return the distinct texts [u] in order of first appearance, and of each text [x] its place among them."""
    if len(text) <= _FEW:
        seen: dict[str, int] = {}
        inverse = np.array([seen.setdefault(one, len(seen)) for one in text.to_list()], np.uint32)
        return pl.Series("text", list(seen), dtype=pl.String), inverse
    distinct = text.unique(maintain_order=True).alias("text")
    place = distinct.to_frame().with_columns(place=pl.int_range(len(distinct), dtype=pl.UInt32, eager=True))
    joined = text.to_frame("text").join(place, on="text", how="left", maintain_order="left")
    return distinct, joined["place"].to_numpy()


def _mask_cheap(text: pl.Series) -> pl.Series:
    """Apply the dearer rules to texts [v] after the cheap rule."""
    text = _where(text, text.str.len_chars() > MAX_CHARS, cut_long)
    for rule in RULES.values():
        text = text.str.replace_all(rule, REPLACEMENT)
    text = _where(text, text.str.count_matches(VARIABLE, literal=True) > MAX_VARIABLES, cut_variables)
    return text.str.replace_all(BLANKS, " ").str.strip_chars(" ")


def _where(text: pl.Series, rare: pl.Series, cut: Callable[[str], str]) -> pl.Series:
    """Apply `cut` to the few texts that need it."""
    at = rare.arg_true()
    return text if len(at) == 0 else text.clone().scatter(at, [cut(t) for t in text.gather(at)])


def _shape(text: str, slot: int | None) -> tuple[int, tuple[str, ...]]:
    """Return what to put together for a line: first cheap variable, and the sources of the slots wanted.

    Lines whose every variable is a cheap one all have the shape ``(0, ())``, whatever their number.
    """
    sources = trace(text)
    if slot is None:
        return (0, () if all(source == VARIABLE for source in sources) else sources)
    if slot >= len(sources):
        return (0, ("",))
    return (sum(source.count(VARIABLE) for source in sources[:slot]), (sources[slot],))


def _assemble(found: pl.Series, first: int, sources: tuple[str, ...], slot: int | None) -> pl.Series:
    """Return the text of each source [x] (or lists of them, if `slot` is None) from the cheap variables found."""
    if slot is None and not sources:
        return found
    texts: list[pl.Series] = []
    for source in sources:
        n = source.count(VARIABLE)
        texts.append(_fill_in(found, source.split(VARIABLE), first))
        first += n
    return texts[0] if slot is not None else pl.select(pl.concat_list(texts)).to_series()


def _fill_in(found: pl.Series, literals: list[str], first: int) -> pl.Series:
    """Return literal, variable, literal, … of each line [x] as one text; null for a slot that is not there."""
    if literals == [""]:  # every variable covers something
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(found))
    parts = [pl.lit(literals[0])]
    for i, literal in enumerate(literals[1:]):
        parts += [pl.col("found").list.get(first + i), pl.lit(literal)]
    parts = [part for part, keep in zip(parts, _has_text(literals), strict=True) if keep]
    filled = found.to_frame("found").select(pl.concat_str(parts))
    return filled.to_series() if len(literals) > 1 else filled.to_series().new_from_index(0, len(found))


def _has_text(literals: list[str]) -> list[bool]:
    """Return which of literal, variable, literal, … there is anything to write of."""
    return [keep for literal in literals for keep in (literal != "", True)][:-1]
