"""A time at the head of the line, perhaps a level near it, then free text."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, on_some, words
from oddlog.formats.levels import by_letter, by_word
from oddlog.formats.times import take

_AROUND = " \t-|:,;"


def _level(frame: pl.DataFrame) -> pl.DataFrame:
    """Take a level off the head of the text if the first word is one."""
    text = pl.col("rest").str.strip_chars_start(_AROUND)
    split = frame.with_columns(words(frame, text, ["word", "tail"]), message=text)
    bare = pl.col("word").str.strip_chars("[]<>():|")
    # a lower-case word without brackets is the text's first word: "error opening file"
    marked = pl.col("word").str.contains(r"^[\[<(]?[A-Z]+\d?[\])>]?:?$|^[\[<(][A-Za-z]+[\])>]:?$|^[A-Za-z]+:$")
    letter = pl.when(pl.col("word").str.contains(r"^\[[VTDIWEFC]\]$")).then(by_letter(bare))
    level = pl.when(marked).then(pl.coalesce(by_word(bare, leading=True), letter))
    return split.with_columns(level=level).with_columns(
        message=pl.when(pl.col("level").is_not_null())
        .then(pl.col("tail").fill_null("").str.strip_chars_start(_AROUND))
        .otherwise("message")
    )


class Timestamp:
    """Any of the usual ways of writing a time; see `times.STAMPS`."""

    name = "timestamp"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where the line starts with a time."""
        taken = take(lines_of(text), year=year)
        return finish(on_some(taken, pl.col("ok"), _level))
