"""Layouts that Python programs use: the `logging` module's own, Flask's, Celery's, loguru's.

::

    2024-11-20 10:11:12,345 - app.db - WARNING - message     the documentation's example
    WARNING:app.db:message                                   basicConfig
    [2024-11-20 10:11:12,345] WARNING in views: message      Flask
    [2024-11-20 10:11:12,345: WARNING/MainProcess] message   Celery
    2024-11-20 10:11:12.345 | WARNING | app.db:query:17 - message    loguru
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.levels import BY_WORD, by_word
from oddlog.formats.times import take

_LOGURU = r"^([\w.]+):[\w.<>]+:[0-9]+ - "
_UPPER = "|".join(sorted(w for w in BY_WORD if w.isupper() and w.isalpha()))


def _separated(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """Split ``- name - LEVEL - message`` and ``- LEVEL - message``."""
    bare = pl.col("rest").str.ends_with(by.rstrip())
    rest = pl.when(bare).then(pl.col("rest") + " ").otherwise("rest")
    split = frame.with_columns(words(frame, rest, ["before", "one", "two", "three"], by=by))
    one, two = (pl.col(c).str.strip_chars(" ") for c in ("one", "two"))
    first, second = by_word(one), by_word(two)
    rest_of_two = pl.concat_str(["two", "three"], separator=by, ignore_nulls=True)
    named = second.is_not_null() & pl.col("three").is_not_null()
    split = split.with_columns(
        ok=(pl.col("before").str.strip_chars(" ") == "") & (named | first.is_not_null()),
        level=pl.when(named).then(second).otherwise(first),
        service=pl.when(named).then(one),
        message=pl.when(named).then("three").otherwise(rest_of_two),
    ).drop("before", "one", "two", "three")
    return on_some(split, pl.col("ok") & pl.col("message").str.contains(_LOGURU), _loguru)


def _loguru(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        service=pl.col("message").str.extract(_LOGURU, 1), message=pl.col("message").str.replace(_LOGURU, "")
    )


def _flask(frame: pl.DataFrame) -> pl.DataFrame:
    shape = r"^ ([A-Z]+) in ([\w.\-]+): ?(.*)$"
    found = pl.col("rest").str.extract_groups(shape)
    level = by_word(found.struct.field("1"))
    return frame.with_columns(
        ok=level.is_not_null(), level=level, service=found.struct.field("2"), message=found.struct.field("3")
    )


def _celery(frame: pl.DataFrame) -> pl.DataFrame:
    found = pl.col("rest").str.extract_groups(r"^: ([A-Z]+)/([^\]]+)\] ?(.*)$")
    level = by_word(found.struct.field("1"))
    return frame.with_columns(
        found.struct.field("2").alias("f.process"),
        ok=level.is_not_null(),
        level=level,
        message=found.struct.field("3"),
    )


def _basic(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``LEVEL:name:message``; there is no time."""
    head = pl.col("text").str.contains(rf"^(?:{_UPPER}):[\w.\-]+:")
    frame = frame.with_columns(head=head)
    split = frame.with_columns(words(frame, pl.col("text"), ["level", "service", "message"], by=":"))
    return split.with_columns(ok="head", level=by_word(pl.col("level")), message=pl.col("message").fill_null(""))


_SEPARATED = [partial(_separated, by=" - "), partial(_separated, by=" | ")]


def _stamped(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    taken = take(frame, year=year)
    return on_some(taken, pl.col("ok"), partial(cascade, steps=[*_SEPARATED, _flask, _celery]))


class PythonLogging:
    """Five layouts, told apart line by line."""

    name = "python"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a level stands in its place in one of the layouts."""
        return finish(cascade(lines_of(text), [partial(_stamped, year=year), _basic]))
