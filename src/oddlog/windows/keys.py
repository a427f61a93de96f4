"""Which window key an event belongs to, and how windows are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import I64

_FEW = 2_000


@dataclass(frozen=True)
class Groups:
    """Events grouped by the window key they belong to, groups in order of their first event.

    Attributes
    ----------
    session : pl.Series [g] str
        Group key.
    bin : I64 [g]
        Number of the window within its group's time or count; 0 for sessions.
    order : I64 [e]
        Positions of the events, group after group, each in the order given.
    offsets : I64 [g + 1]
        Where each group begins in `order`.

    """

    session: pl.Series
    bin: I64
    order: I64
    offsets: I64

    @property
    def of_event(self) -> I64:
        """The group of each event of `order` [e]."""
        return np.repeat(np.arange(len(self.bin)), np.diff(self.offsets))


def grouped(session: pl.Series, bins: I64 | None = None) -> Groups:
    """Group events [e] by session, and by window number where there is one."""
    if len(session) <= _FEW:
        return _few_grouped(session, bins)
    frame = pl.DataFrame({"session": session})
    if bins is not None:
        frame = frame.with_columns(bin=pl.Series(bins))
    groups = frame.with_row_index("row").group_by(frame.columns, maintain_order=True).agg("row")
    lengths = groups["row"].list.len().to_numpy().astype(np.int64)
    order = groups["row"].explode(empty_as_null=False).to_numpy().astype(np.int64)
    of = groups["bin"].to_numpy() if bins is not None else np.zeros(len(groups), np.int64)
    return Groups(groups["session"], of, order, np.concatenate([[0], np.cumsum(lengths)]))


def _few_grouped(session: pl.Series, bins: I64 | None) -> Groups:
    """Group few events: a dictionary is faster than Polars, whose every call costs a tenth of a millisecond."""
    numbers = [0] * len(session) if bins is None else bins.tolist()
    seen: dict[tuple[str, int], int] = {}
    of = np.array([seen.setdefault(one, len(seen)) for one in zip(session.to_list(), numbers, strict=True)], np.int64)
    names = pl.Series("session", [name for name, _ in seen], dtype=pl.String)
    ends = np.cumsum(np.bincount(of, minlength=len(seen)))
    number = np.array([number for _, number in seen], np.int64)
    return Groups(names, number, np.argsort(of, kind="stable"), np.concatenate([[0], ends]).astype(np.int64))


def time_keys(session: pl.Series, start_us: I64, *, whole_seconds: bool) -> list[str]:
    """Return ``GROUP@2026-01-31T10:00:00Z`` of each window [g]; the time alone where the group is empty."""
    written = "%Y-%m-%dT%H:%M:%SZ" if whole_seconds else "%Y-%m-%dT%H:%M:%S%.6fZ"
    start = pl.Series(start_us).cast(pl.Datetime("us"))
    return _joined(session, "@", start.dt.to_string(written))


def count_keys(session: pl.Series, number: I64) -> list[str]:
    """Return ``GROUP#17`` of each window [g]."""
    return _joined(session, "#", pl.Series(number).cast(pl.String), always=True)


def _joined(session: pl.Series, sign: str, rest: pl.Series, *, always: bool = False) -> list[str]:
    head = pl.col("session") + sign
    if not always:
        head = pl.when(pl.col("session") == "").then(pl.lit("")).otherwise(head)
    frame = pl.DataFrame({"session": session, "rest": rest})
    return frame.select((head + pl.col("rest")).alias("key"))["key"].to_list()


def with_part(base: pl.Series, part: I64) -> pl.Series:
    """Return the keys [w] of windows that are the `part`-th of their base key: ``key``, ``key#2``, ``key#3``."""
    if not (part > 1).any():
        return base.alias("key")
    frame = pl.DataFrame({"key": base, "part": part})
    later = pl.col("key") + "#" + pl.col("part").cast(pl.String)
    return frame.select(pl.when(pl.col("part") > 1).then(later).otherwise("key").alias("key"))["key"]


def bins_of_time(time_us: I64, watermark: I64, size: int, step: int) -> tuple[I64, I64]:
    """Return the first and last number [e] of the time windows an event is placed in; none if first > last.

    Window ``i`` covers ``[i * step, i * step + size)`` since the epoch; it is closed once the watermark
    reaches its end.
    """
    first = -((size - 1 - time_us) // step)
    still_open = (watermark - size) // step + 1
    return np.maximum(first, still_open), time_us // step


def bins_of_count(number: I64, size: int, step: int) -> tuple[I64, I64]:
    """Return the first and last number [e] of the count windows the group's `number`-th event stands in.

    Window ``i`` holds the events ``i * step .. i * step + size - 1`` of its group.
    """
    first = -((size - 1 - number) // step)
    return np.maximum(first, 0), number // step
