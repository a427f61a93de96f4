"""Android's logcat, threadtime: ``11-20 10:11:12.345   811   907 D ShopPlayer: message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, on_some, words
from oddlog.formats.levels import by_letter
from oddlog.formats.times import Stamp, take

_STAMPS = (Stamp("%m-%d %H:%M:%S", "yearless"), Stamp("%Y-%m-%d %H:%M:%S"))


def _columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Split process, thread, letter and tag, which stand in columns padded with spaces."""
    frame = frame.with_columns(tail=pl.col("rest"))
    for name in ("pid", "f.thread", "letter"):
        trimmed = pl.col("tail").str.strip_chars_start(" ")
        frame = frame.with_columns(words(frame, trimmed, [name, "tail"]))
    frame = frame.with_columns(words(frame, pl.col("tail"), ["service", "message"], by=": "))
    bare = pl.col("message").is_null() & pl.col("service").str.ends_with(":")
    level = by_letter(pl.col("letter"))
    number = r"^[0-9]+$"
    return frame.with_columns(
        ok=pl.col("pid").str.contains(number)
        & pl.col("f.thread").str.contains(number)
        & level.is_not_null()
        & (bare | pl.col("message").is_not_null()),
        level=level,
        service=pl.when(bare).then(pl.col("service").str.head(-1)).otherwise("service").str.strip_chars(" "),
        message=pl.col("message").fill_null(""),
    ).drop("pid", "letter", "tail")


class Android:
    """The tag is the service."""

    name = "android"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where process, thread, letter and tag follow a time."""
        taken = take(lines_of(text), year=year, only=_STAMPS)
        return finish(on_some(taken, pl.col("ok"), _columns))
