"""Apache's error log: ``[Wed Nov 20 10:11:12 2024] [error] message``; 2.4 adds microseconds, module, pid, client."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, on_some, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import microseconds, strptime
from oddlog.types import TIME

_CLIENT = r"^\[client ([^\]]+?)(?::\d+)?\] ?"


def _time(raw: pl.Expr) -> pl.Expr:
    """Read ``Wed Nov 20 10:11:12[.345678] 2024``; the weekday is not checked."""
    fraction = raw.str.extract(r"\.(\d{1,9}) ", 1)
    tidy = raw.str.replace(r"\.\d+", "").str.slice(4)
    return (strptime(tidy, "%b %d %H:%M:%S %Y") + pl.duration(microseconds=microseconds(fraction))).cast(TIME)


def _process_and_client(frame: pl.DataFrame) -> pl.DataFrame:
    message = pl.col("message").str.replace(r"^\[pid [^\]]*\] ?", "")
    # what stands between process and client is the system's error: ``(70007)The timeout …:``
    return frame.with_columns(message=message).with_columns(
        pl.col("message").str.extract(_CLIENT, 1).alias("f.client"),
        message=pl.col("message").str.replace(_CLIENT, ""),
    )


class ApacheError:
    """Time and level in brackets; the module, where there is one, is the service."""

    name = "apache_error"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; `ok` where a time and a level stand in brackets."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), ["stamp", "word", "message"], by="] "))
        looks = pl.col("stamp").str.contains(r"^\[[A-Z][a-z]{2} ") & pl.col("word").str.starts_with("[")
        time = pl.when(looks).then(_time(pl.col("stamp").str.slice(1)))
        # a line that ends with its level's bracket has no message
        frame = frame.with_columns(time=time)
        frame = frame.with_columns(words(frame, pl.col("word").str.strip_chars("[]"), ["module", "word"], by=":"))
        alone = pl.col("word").is_null()
        level = by_word(pl.when(alone).then("module").otherwise("word").str.replace(r"^trace\d$", "trace"))
        frame = frame.with_columns(
            ok=pl.col("time").is_not_null() & level.is_not_null(),
            level=level,
            service=pl.when(~alone & (pl.col("module") != "-")).then("module"),
            message=pl.col("message").fill_null(""),
        )
        bracket = pl.col("ok") & pl.col("message").str.contains(r"^\[(?:pid|client) ")
        return finish(on_some(frame, bracket, _process_and_client))
