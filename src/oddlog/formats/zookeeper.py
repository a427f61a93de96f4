"""ZooKeeper: ``2024-11-20 10:11:12,345 - INFO  [main:QuorumPeer@774] - message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import by_distinct, finish, lines_of, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import STAMPS, take

_PLACE = r"^\[(?:(.*):)?([^\s:@\[]+)@-?\w+\]$"


class Zookeeper:
    """Time, perhaps ``[myid:1]``, level, ``[thread:Class@line]``, message; the class is the service."""

    name = "zookeeper"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where level and ``[thread:Class@line]`` stand between dashes."""
        taken = take(lines_of(text), year=year, only=STAMPS[:2])
        frame = taken.with_columns(words(taken, pl.col("rest"), ["myid", "head", "message"], by=" - "))
        if not frame["ok"].any():
            return finish(frame.drop("message"))
        frame = frame.with_columns(words(frame, pl.col("head"), ["word", "where"])).with_columns(
            where=pl.col("where").str.strip_chars(" ")
        )
        frame = frame.with_columns(thread=by_distinct(frame["where"], lambda w: w.str.extract(_PLACE, 1)))
        frame = frame.with_columns(place=by_distinct(frame["where"], lambda w: w.str.extract(_PLACE, 2)))
        place = pl.col("place")
        myid = by_distinct(frame["myid"], lambda m: m.str.extract(r"^ ?\[myid:(.*)\]$", 1))
        return finish(
            frame.with_columns(
                ok=pl.col("ok") & place.is_not_null() & pl.col("message").is_not_null(),
                level=by_word(pl.col("word")),
                service=place,
                **{
                    "f.thread": pl.col("thread"),
                    "f.myid": pl.lit(myid).replace("", None),
                },
            )
        )
