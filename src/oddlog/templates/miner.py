"""Which masked texts belong together: keys → rows.

The mask leaves words that vary (users, hosts, file names). A position becomes a variable when enough texts
differ in it and in nothing else::

    Failed password for root from <*>   ┐
    Failed password for oracle from <*> ├→  Failed password for <*> from <*>
    …                                   ┘

Few values are more often states than names (VM Started, VM Paused, VM Stopped), and a fused state is an anomaly
that nobody sees: so it takes many words of the language, or several that look like names. All positions are
judged at once on sorted distinct texts, so neither the order nor the batches of the input change anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from oddlog.templates.frames import TOKEN, Frames, frames
from oddlog.templates.mask import key_of_text
from oddlog.templates.rules import VARIABLE
from oddlog.types import F32, I64, OVERFLOW, U8, U64, Bool, Tally, Templates

_TOKEN = re.compile(TOKEN)

MIN_WORDS = 10
"""Texts that must differ in one word only before the word is a variable."""
MIN_NAMES = 4
"""The same, where that many of the words look like names: hosts, paths, classes, addresses.

Hyphens do not make a name: ``network-vif-plugged`` and ``network-vif-deleted`` are states.
"""
_ROUNDS = 4  # a text with two varying words needs a second look once the first is merged


def mine(
    key: U64,
    text: pl.Series,
    count: I64,
    level: U8,
    *,
    max_rows: int = 100_000,
    max_distinct: int = 2_000_000,
    min_words: int = MIN_WORDS,
    min_names: int = MIN_NAMES,
    tally: Tally | None = None,
) -> Templates:
    """Merge masked texts into templates. Merging changes the mapping, never a key.

    Parameters
    ----------
    key, text, count, level : U64, pl.Series of str, I64, U8, each [u]
        Masked texts with their keys, how many lines each stands for and their level (code into `LEVELS`). A key
        may come several times, once for each batch and level.
    max_rows : int
        Templates kept, the most frequent first; the keys of the others map to `OVERFLOW`.
    max_distinct : int
        Masked texts that are looked at, the most frequent first; the others are forgotten.
    min_words, min_names : int
        How many texts must differ in one word for it to become a variable: any words, words that look like names.
    tally : Tally, optional
        Counts the lines of what was not kept.

    Returns
    -------
    Templates
        Rows by count, most frequent first, then by text; `embedding` is empty [k, 0], see `with_embedding`.

    """
    tally = tally if tally is not None else Tally()
    lines = pl.DataFrame({"key": key, "text": text.rename("text"), "count": count, "level": level})
    seen = _distinct(lines, max_distinct, tally)
    canonical = merge(seen["text"], min_words=min_words, min_names=min_names)
    rows = (
        seen.select("key", "count", text=canonical)
        .group_by("text")
        .agg("key", pl.col("count").sum())
        .sort(["count", "text"], descending=[True, False])
        .with_row_index("row")
    )
    beyond = rows.slice(max_rows)
    if len(beyond):
        tally.add("lines of templates beyond the table", int(beyond["count"].sum()), example=beyond["text"][0])
    row = pl.when(pl.col("row") < max_rows).then("row").otherwise(pl.lit(OVERFLOW, pl.UInt32))
    keys = rows.select("key", row.alias("row")).explode("key").sort("key")
    kept = rows.head(max_rows)
    # the canonical text is a masked text too: whoever meets it, or knows the template by it, finds the row
    own = kept.select(pl.Series("key", key_of_text(kept["text"])), "row")
    keys = pl.concat([keys, own]).unique("key", keep="first", maintain_order=True).sort("key")
    return Templates(
        text=tuple(kept["text"]),
        level=_levels(lines, keys, len(kept)),
        count=kept["count"].to_numpy(),
        key=keys["key"].to_numpy(),
        row=keys["row"].to_numpy(),
        embedding=np.empty((len(kept), 0), np.float32),
    )


def with_embedding(templates: Templates, embed: Callable[[Sequence[str]], F32]) -> Templates:
    """Return the same templates with `embed` of their texts [k, d]."""
    return replace(templates, embedding=embed(templates.text))


def merge(text: pl.Series, *, min_words: int = MIN_WORDS, min_names: int = MIN_NAMES) -> pl.Series:
    """Return the template [u] of each distinct masked text [u]; most are their own."""
    at: list[int] = []
    merged: list[str] = []
    for same_length in frames(text):
        blank = _merge_frames(same_length, min_words=min_words, min_names=min_names)
        changed = np.flatnonzero(blank.any(axis=1))
        index = same_length.index[changed]
        at += index.tolist()
        merged += [_with_blanks(t, b) for t, b in zip(text.gather(index), blank[changed], strict=True)]
    return text.clone().scatter(at, merged) if at else text


def _distinct(lines: pl.DataFrame, max_distinct: int, tally: Tally) -> pl.DataFrame:
    """Return one row for each key, ordered by text; at most `max_distinct`, the most frequent."""
    seen = lines.group_by("key").agg(pl.col("text").min(), pl.col("count").sum())
    if len(seen) > max_distinct:
        seen = seen.sort(["count", "text"], descending=[True, False])
        beyond = seen.slice(max_distinct)
        tally.add("lines of distinct messages beyond the limit", int(beyond["count"].sum()), example=beyond["text"][0])
    return seen.head(max_distinct).sort("text", "key")


def _levels(lines: pl.DataFrame, keys: pl.DataFrame, k: int) -> U8:
    """Return the level most lines of each row have [k]; of two as frequent, the more severe."""
    level = (
        lines.lazy()
        .join(keys.lazy(), on="key")
        .filter(pl.col("row") < k)
        .group_by("row", "level")
        .agg(pl.col("count").sum())
        .sort("row", "count", "level")
        .group_by("row", maintain_order=True)
        .agg(pl.col("level").last())
        .collect()
    )
    return level["level"].to_numpy()


def _merge_frames(same_length: Frames, **limits: int) -> Bool:
    """Return which tokens [g, t] of texts of one length become variables."""
    blank = np.zeros(same_length.mixed.shape, np.bool_)
    group = np.arange(len(same_length))  # the text that stands for each text: merged texts become one
    first = group
    mixed, is_name, has_letter = same_length.mixed, same_length.is_name, same_length.has_letter
    for _ in range(_ROUNDS):
        found = _varying(mixed, same_length.is_word[first], is_name, has_letter, **limits)
        if not found.any():
            break
        blank |= found[group]
        mixed = np.where(found, same_length.blank, mixed)
        _, keep, back = np.unique(mixed.sum(axis=1), return_index=True, return_inverse=True)
        mixed, is_name, has_letter = mixed[keep], (is_name | found)[keep], (has_letter & ~found)[keep]
        group, first = back[group], first[keep]
    return blank


def _varying(mixed: U64, is_word: Bool, is_name: Bool, has_letter: Bool, min_words: int, min_names: int) -> Bool:
    """Return the words [r, t] in which enough distinct texts differ that agree in all other tokens.

    What they agree in must hold a word of the language, or everything short would be one template.
    """
    total = mixed.sum(axis=1)
    letters = has_letter.sum(axis=1)
    found = np.zeros(mixed.shape, np.bool_)
    for p in range(mixed.shape[1]):
        candidates = np.flatnonzero(is_word[:, p] & (letters > has_letter[:, p]))
        if len(candidates) < min(min_words, min_names):
            continue
        frame = (total - mixed[:, p])[candidates]
        order = np.argsort(frame, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(frame[order]) != 0))
        words = np.diff(np.append(starts, len(order)))
        names = np.add.reduceat(is_name[candidates[order], p].astype(np.int64), starts)
        enough = np.repeat((words >= min_words) | (names >= min_names), words)
        found[candidates[order[enough]], p] = True
    return found


def _with_blanks(text: str, blank: Bool) -> str:
    """Return `text` with the tokens that are `blank` [t] as variables."""
    return "".join(VARIABLE if b else t for t, b in zip(_TOKEN.findall(text), blank, strict=True))
