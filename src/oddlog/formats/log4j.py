"""Headers of log4j, logback, Spring Boot, Hadoop, Spark and their like: time, level, thread, logger, message.

::

    2024-11-20 10:11:12,345 INFO [main] org.example.App: message        Hadoop
    2024-11-20 10:11:12.345 INFO  org.example.App - message             logback
    24/11/20 10:11:12 INFO storage.BlockManager: message                Spark
    10:11:12.345 [worker-1] DEBUG org.example.App - message             log4j
    2024-11-20T10:11:12.345Z  INFO 7 --- [app] [main] o.e.App : message Spring Boot
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.layout import Step, by_distinct, cascade, finish, lines_of, on_some, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import take
from oddlog.formats.traces import without_trace

# A logger's name: dotted or a single word, with what patterns append (line, block of the class).
_LOGGER = r"^[A-Za-z_][\w.$/\-]*(?:\.\[[^\s\]]*\]?)*(?:\[[\w.\-]*\])?(?:[#:@(][\w.:]*\)?)?$"
# Words that end in a colon at the head of a message far more often than they name a logger.
_NOT_LOGGERS = ["error", "warning", "exception", "caused", "note", "failed", "failure", "total", "usage", "result"]


def _logger(names: pl.Series) -> pl.Series:
    """Say which [lines] can be loggers' names."""
    return by_distinct(names, lambda n: n.str.contains(_LOGGER) & ~n.str.to_lowercase().is_in(_NOT_LOGGERS))


def _level_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``LEVEL rest``, the level in brackets or with a pid behind it or not."""
    split = frame.with_columns(words(frame, pl.col("rest").str.strip_chars_start(" "), ["word", "rest"]))
    word = pl.col("word").str.strip_chars("[]:")
    return split.with_columns(level=by_word(word), rest=pl.col("rest").str.strip_chars_start(" ").fill_null("")).drop(
        "word"
    )


def _thread_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``[thread] rest``."""
    opened = pl.col("rest").str.starts_with("[")
    split = frame.with_columns(words(frame, pl.col("rest").str.slice(1), ["thread", "tail"], by="] "))
    fits = opened & pl.col("tail").is_not_null()
    return split.with_columns(
        fits=fits,
        thread=pl.when(fits).then("thread"),
        rest=pl.when(fits).then(pl.col("tail").str.strip_chars_start(" ")).otherwise("rest"),
    ).drop("tail")


def _named(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """Split ``logger`` + `by` + message, also where the message is empty."""
    bare = by.rstrip()
    split = frame.with_columns(words(frame, pl.col("rest"), ["service", "message"], by=by))
    empty = pl.col("message").is_null() & pl.col("rest").str.ends_with(bare)
    name = pl.when(empty).then(pl.col("service").str.strip_suffix(bare)).otherwise("service")
    found = pl.col("message").is_not_null() | empty
    split = split.with_columns(
        service=pl.when(found).then(name.str.strip_chars_end(" ")), message=pl.col("message").fill_null("")
    )
    return split.with_columns(ok=_logger(split["service"]))


def _dotted(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``a.b.Logger message`` or ``Logger#17 message``: only a name that is one for sure."""
    split = frame.with_columns(words(frame, pl.col("rest"), ["service", "message"]))
    sure = pl.col("service").str.contains(
        r"^[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)+(?:[#:][0-9]+)?$|^[A-Za-z_][^\s:]*#[0-9]+$"
    )
    return split.with_columns(
        ok=sure,
        # the line in the source file is not part of who speaks
        service=pl.col("service").str.replace(r"[#:][0-9]+$", ""),
        message=pl.col("message").fill_null(""),
    )


def _unnamed(frame: pl.DataFrame) -> pl.DataFrame:
    # a pattern with an empty logger leaves the dash behind it
    message = pl.col("rest").str.strip_prefix("- ")
    return frame.with_columns(ok=pl.lit(value=True), service=pl.lit(None, pl.String), message=message)


def _spring(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``7 --- [app] [thread] logger : message``."""
    if not frame["rest"].str.contains(" --- [", literal=True).any():
        return frame.with_columns(ok=pl.lit(value=False))
    split = frame.with_columns(words(frame, pl.col("rest"), ["pid", "tail"], by=" --- ["))
    split = split.with_columns(words(split, pl.col("tail"), ["tail", "message"], by=" : "))
    name = pl.col("tail").str.extract(r"^.*\]\s*(\S+)\s*$", 1)
    return split.with_columns(
        ok=pl.col("pid").str.contains(r"^[0-9]+$") & name.is_not_null(),
        service=name,
        message=pl.col("message").fill_null(""),
        **{"f.thread": pl.col("tail").str.extract(r"([^\[\]]*)\]\s*\S+\s*$", 1).str.strip_chars(" ")},
    ).drop("pid", "tail")


_NAMES: list[Step] = [partial(_named, by=" - "), partial(_named, by=": "), _dotted, _unnamed]


def _after_level(frame: pl.DataFrame) -> pl.DataFrame:
    threaded = _thread_first(frame)
    return cascade(threaded, _NAMES).rename({"thread": "f.thread"}).drop("fits")


def _level_then_thread(frame: pl.DataFrame) -> pl.DataFrame:
    split = _level_first(frame).with_columns(ok=pl.col("level").is_not_null())
    return _kept(split, [_spring, _after_level])


def _thread_then_level(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(rest=pl.col("rest").str.strip_chars_start(" "))
    split = _thread_first(frame)
    split = _level_first(split).with_columns(ok=pl.col("fits") & pl.col("level").is_not_null())
    return _kept(split.rename({"thread": "f.thread"}).drop("fits"), _NAMES)


def _kept(split: pl.DataFrame, steps: list[Step]) -> pl.DataFrame:
    """Go on with the lines that are ok so far."""
    return on_some(split, pl.col("ok"), lambda some: cascade(some, steps))


class Log4j:
    """Time, level, perhaps a thread and a logger, in either order."""

    name = "log4j"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a time and a level in a place of its own stand before the message."""
        stamped = take(lines_of(text), year=year)
        frame = on_some(stamped, pl.col("ok"), partial(cascade, steps=[_level_then_thread, _thread_then_level]))
        if "message" in frame.columns:
            frame = without_trace(frame)
        return finish(frame)
