"""The rates view: counts by minute of a whole input, learned in `fit` and judged in `detect`.

It stands beside the views of windows: these ask whether what happened together is usual, this one whether it happened
as often as usual. `episodes` makes incidents of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from oddlog.drift import Usual
from oddlog.rates import Absent, Before, Counted, Counting, Origin, Origins, Watch, counted, joined, rate_of
from oddlog.rates.counting import BUCKET, US_PER_MINUTE
from oddlog.rates.shares import pairs
from oddlog.rates.watch import ODD
from oddlog.shares import Shares
from oddlog.types import I64, NO_SERVICE, SCORES, TIME, State, Tally, Templates

if TYPE_CHECKING:
    from oddlog.pipeline.judging.rates_reasons import Stretch

NAME = "rates"
NOUN = "ten-minute counts"
LEAST_HOURS = 3.0
ALARMS_A_DAY = 0.5  # where no number is asked for
TINY = 1e-300
EVERY_SOURCE = Absent()
# Ten minutes that are far too many, minute by minute: it began when the first of them were, and ended in the midst of
# the last of them.
_FROM_MIDDLE = ("z-score", "moving-average", "error-share", "mean")


@dataclass(frozen=True)
class Judged:
    """What the rates view says of an input.

    Attributes
    ----------
    counted : Counted
        The counts.
    odd : pl.DataFrame
        What is odd, as `rates.watch.ODD`, with ``kind service host name template`` of what it is of and the minutes
        ``start end`` (the last one) in which it is so.
    scores : pl.DataFrame
        A verdict (`types.SCORES`) for each ten minutes of each service, and of each host and entity that is odd.
    shares : Shares or None
        The usual shares of steps, gaps and numbers.
    odd_shares : tuple of Stretch
        Which of these are odd, and when.
    numbers : frozenset of str
        Numbers that the shares know.
    traced : frozenset of str
        Services that sessions run through.

    """

    counted: Counted
    odd: pl.DataFrame
    scores: pl.DataFrame
    shares: Shares | None = None
    odd_shares: tuple[Stretch, ...] = ()
    numbers: frozenset[str] = frozenset()
    traced: frozenset[str] = frozenset()

    def with_shares(
        self, shares: Shares, odd: Sequence[Stretch], numbers: Iterable[str], traced: Iterable[str]
    ) -> Judged:
        """Return this with what is odd about the shares of steps, gaps and the named numbers."""
        told = [
            (f"{service_key(one.service)}@{_time(bucket):%Y-%m-%dT%H:%MZ}", one.surprise)
            for one in odd
            for bucket in range(one.start // BUCKET, one.end // BUCKET + 1)
        ]
        frame = pl.DataFrame(told, schema={"key": pl.String, "surprise": pl.Float64}, orient="row")
        highest = frame.group_by("key").agg(pl.col("surprise").max())
        joined = self.scores.join(highest, on="key", how="left", maintain_order="left")
        there = pl.col("surprise").is_not_null()
        scores = joined.with_columns(
            score=pl.max_horizontal("score", "surprise"),
            p_value=pl.when(there)
            .then(pl.min_horizontal("p_value", (10.0 ** -pl.col("surprise")).clip(TINY, 1.0)))
            .otherwise("p_value"),
            is_anomaly=pl.col("is_anomaly") | there,
        ).drop("surprise")
        return replace(
            self,
            scores=scores,
            shares=shares,
            odd_shares=tuple(odd),
            numbers=frozenset(numbers),
            traced=frozenset(traced),
        )


def _time(bucket: int) -> datetime:
    return datetime.fromtimestamp(bucket * BUCKET * 60, UTC)


@dataclass(frozen=True)
class RatesView:
    """Learned rates, learned shares of steps, gaps and numbers, what blocks of time were like, and who wrote what."""

    watch: Watch
    shares: Shares | None = None
    drift: Usual | None = None
    origins: Origins | None = None

    def judge(
        self, counting: Counting | Before, k: int, services: Sequence[str], tally: Tally, absent: Absent = EVERY_SOURCE
    ) -> Judged:
        """Judge the counts of an input; the types of `counting` are rows of the model's `k` templates or beyond.

        That too few lines come of what is `absent` is not told.
        """

        def rows_of(types: pl.Series) -> I64:
            row = types.to_numpy()
            return np.where(row < k, row, k).astype(np.int64) - np.where(row < k, 0, k + 1)

        counts = counted(counting, rows_of, services, tally, self.watch.series)
        found = _told_of(self._named(self.watch.judge(counts), counts), absent)
        return Judged(counts, found.filter("is_odd"), self._scores(found, counts))

    def _named(self, found: pl.DataFrame, counts: Counted) -> pl.DataFrame:
        """Return the candidates with what they are of, and when."""
        series = self.watch.series
        of_pair = pairs(series)[:, 0]
        subject = found["subject"].to_numpy()
        is_pair = (found["member"] == "error-share").to_numpy()
        is_entity = (found["member"] == "concentration").to_numpy()
        at = np.where(is_entity, 0, subject)
        if len(of_pair):
            at = np.where(is_pair, of_pair[np.where(is_pair, subject, 0)], at)
        named = series.frame().drop("series")[at] if len(series) else series.frame().drop("series").clear()
        who = found["who"].to_numpy()
        entity = np.array(counts.names or ("",), dtype=np.str_)[np.where(is_entity, who, 0)]
        back = pl.when(pl.col("member").is_in(_FROM_MIDDLE)).then(pl.col("span") // 2).otherwise(0)
        before = pl.when(pl.col("member").is_in(_FROM_MIDDLE)).then(0).otherwise(pl.col("span") - 1)
        frame = found.hstack(named).with_columns(
            kind=pl.when(pl.Series(is_entity)).then(pl.lit("entity")).otherwise("kind"),
            service=pl.when(pl.Series(is_entity)).then(pl.lit("")).otherwise("service"),
            host=pl.when(pl.Series(is_entity)).then(pl.lit("")).otherwise("host"),
            name=pl.when(pl.Series(is_entity)).then(pl.Series(entity, dtype=pl.String)).otherwise("name"),
            template=pl.when(pl.Series(is_entity)).then(pl.Series(subject.astype(np.int64))).otherwise("template"),
            start=pl.col("minute") - before,
            end=pl.col("minute") - back,
        )
        return _with_services(frame, counts)

    def _scores(self, found: pl.DataFrame, counts: Counted) -> pl.DataFrame:
        """Return the verdicts of ten minutes each."""
        first = pl.min_horizontal("start", "end")
        every_bucket = pl.int_ranges(first // BUCKET, pl.col("end") // BUCKET + 1)
        counted_by = found.filter(pl.col("member").is_in(self.watch.votes)).with_columns(what=_what())
        highest = (
            counted_by.with_columns(bucket=every_bucket)
            .explode("bucket")
            .group_by("bucket", "what")
            .agg(pl.col("surprise").max(), pl.col("is_odd").any())
            .with_columns(pl.col("bucket").cast(pl.Int32))
        )
        there = _lines_of_ten_minutes(counts)
        rows = there.join(highest, on=["bucket", "what"], how="full", coalesce=True).sort("bucket", "what")
        rows = rows.filter(pl.col("is_odd") | _is_service(pl.col("what")))
        start = (pl.col("bucket").cast(pl.Int64) * (BUCKET * US_PER_MINUTE)).cast(TIME)
        verdicts = rows.with_columns(start=start).select(
            key=pl.col("what") + "@" + pl.col("start").dt.strftime("%Y-%m-%dT%H:%MZ"),
            start="start",
            end=pl.col("start") + pl.duration(minutes=BUCKET),
            n_events=pl.col("n_events").fill_null(0),
            score=pl.col("surprise").fill_null(0.0),
            p_value=(10.0 ** -pl.col("surprise").fill_null(0.0)).clip(TINY, 1.0),
            threshold=pl.lit(self.watch.threshold),
            is_anomaly=pl.col("is_odd").fill_null(value=False),
        )
        return verdicts.cast(dict(SCORES))  # type: ignore[arg-type] # a schema is a mapping

    def states(self) -> dict[str, State]:
        """Return the parts of the view, by file name."""
        parts = self.watch.states() | ({} if self.shares is None else self.shares.state())
        parts |= {} if self.drift is None else self.drift.states()
        parts |= {} if self.origins is None else self.origins.state()
        return {f"{NAME}.{name}": state for name, state in parts.items()}

    @classmethod
    def from_states(cls, states: Mapping[str, State]) -> Self | None:
        """Rebuild; None where a model has no such parts."""
        prefix = f"{NAME}."
        own = {name.removeprefix(prefix): state for name, state in states.items() if name.startswith(prefix)}
        if not own:
            return None
        return cls(Watch.from_states(own), Shares.from_states(own), Usual.from_states(own), Origins.from_states(own))


def _told_of(found: pl.DataFrame, absent: Absent) -> pl.DataFrame:
    """Return the candidates without those that say no more than that sources of training are absent."""
    if not absent:
        return found
    kind = pl.col("kind")
    is_lacking = (
        pl.when(kind == "template")
        .then(pl.col("template").is_in(list(absent.templates)))
        .when(kind == "host")
        .then(pl.col("host").is_in(list(absent.hosts)))
        .when(kind == "entity")
        .then(pl.lit(value=False))
        .otherwise(pl.col("service").is_in(list(absent.services)))
    )
    # Of a mean it cannot be said which sources move it; a count above what all of them usually have is too high still.
    is_little = (pl.col("seen") < pl.col("usual")) | pl.col("member").is_in(["silence", "mean"])
    return found.filter(~(is_lacking & is_little))


def _lines_of_ten_minutes(counts: Counted) -> pl.DataFrame:
    """Return how many lines each service, host and entity has in each ten minutes: ``bucket what n_events``."""

    def spelled(column: str, names: Sequence[str]) -> pl.Expr:
        return pl.col(column).replace_strict(range(len(names)), names, return_dtype=pl.String, default="")

    bucket = (pl.col("minute") // BUCKET).cast(pl.Int32).alias("bucket")
    hosts = counts.counts.join(counts.series.frame().filter(pl.col("kind") == "host"), on="series")
    lines = [
        counts.cells.select(bucket, "n", what=_service(spelled("service", counts.services))),
        hosts.select(bucket, "n", what=pl.lit("host ") + pl.col("host")),
        counts.entities.select("bucket", "n", what=spelled("entity", counts.names)),
    ]
    every = pl.concat(lines, how="vertical_relaxed")
    return every.group_by("bucket", "what").agg(n_events=pl.col("n").sum())


def service_key(name: str) -> str:
    """Return what the key of a verdict calls a service; many logs name none.

    >>> service_key("payments"), service_key("")
    ('service payments', 'lines without a service')
    """
    return f"service {name}" if name else NO_SERVICE


def _service(name: pl.Expr) -> pl.Expr:
    return pl.when(name == "").then(pl.lit(NO_SERVICE)).otherwise("service " + name)


def _is_service(what: pl.Expr) -> pl.Expr:
    return what.str.starts_with("service ") | (what == NO_SERVICE)


def _what() -> pl.Expr:
    """Return what a verdict's key names: a service, a host, or who caused it."""
    return (
        pl.when(pl.col("kind") == "host")
        .then("host " + pl.col("host"))
        .when(pl.col("kind") == "entity")
        .then(pl.col("name"))
        .otherwise(_service(pl.col("service")))
    )


def _with_services(found: pl.DataFrame, counts: Counted) -> pl.DataFrame:
    """Return candidates of templates with the service that wrote most of these lines in that hour."""
    rows = found.filter(pl.col("template") >= 0).select("template", hour=pl.col("end") // 60).unique()
    if not len(rows):
        return found
    by_service = (
        counts.cells.with_columns(hour=pl.col("minute") // 60)
        .join(rows, on=["template", "hour"], how="semi")
        .group_by("template", "hour", "service")
        .agg(pl.col("n").sum())
        .sort("template", "hour", "n", "service", descending=[False, False, True, False])
        .unique(["template", "hour"], keep="first", maintain_order=True)
    )
    names = by_service["service"].replace_strict(
        range(len(counts.services)), counts.services, return_dtype=pl.String, default=""
    )
    by_service = by_service.select("template", "hour", most=names)
    joined = found.with_columns(hour=pl.col("end") // 60).join(
        by_service, on=["template", "hour"], how="left", maintain_order="left"
    )
    own = pl.when((pl.col("service") == "") & pl.col("most").is_not_null()).then("most").otherwise("service")
    return joined.with_columns(service=own).drop("most", "hour")


def learn_rates(
    counting: Counting,
    templates: Templates,
    services: Sequence[str],
    alarms_a_day: float | None,
    tally: Tally,
    origins: Sequence[Origin] = (),
) -> tuple[RatesView | None, dict[str, Any]]:
    """Return the view of what was counted while learning, None if it is too little, and what is said of it.

    The types of `counting` are keys of templates. `origins` say which source wrote what; none if that is not known.
    """
    counts = counted(counting, lambda keys: templates.rows_of(keys.to_numpy()), services, tally, None)
    hours = 24 * counts.span.days
    facts: dict[str, Any] = {"hours": hours, "series": len(counts.series), "notes": []}
    if not len(counts.span):
        return None, facts | {"says": "not watched: these lines have no times"}
    if hours < LEAST_HOURS or not len(counts.series):
        says = f"not watched: {hours:.1f} hours are too short to know what is usual ({LEAST_HOURS:.0f} are the least)"
        return None, facts | {"says": says}
    alarms = ALARMS_A_DAY if alarms_a_day is None else alarms_a_day
    watch = Watch.learn(counts, rate_of(alarms))
    grain = watch.season.grain
    facts |= {"grain": grain, "members": list(watch.votes), "alarms_a_day": alarms, "odd_hours": watch.odd_hours}
    if grain == "none":
        facts["notes"].append(
            f"{hours:.0f} hours tell no hour of the day from another: each minute is compared with the two hours "
            "before it. Learn from two days or more, best from two weeks."
        )
    drift = _usual(counting, counts, len(templates))
    return RatesView(watch, drift=drift, origins=_origins(origins, counts)), facts | {"says": _says(facts)}


def _origins(origins: Sequence[Origin], counts: Counted) -> Origins | None:
    """Return who wrote what, with which services wrote each watched type; None if it is not known."""
    if not origins:
        return None
    watched = counts.series.frame().filter(pl.col("kind") == "template")["template"].implode()
    wrote = counts.cells.filter(pl.col("template").is_in(watched)).group_by("template", "service")
    of: dict[int, dict[str, int]] = {}
    for template, service, n in wrote.agg(pl.col("n").sum().cast(pl.Int64)).sort("template", "service").iter_rows():
        of.setdefault(template, {})[counts.services[service]] = n
    return Origins(joined(origins), of)


def _usual(counting: Counting, counts: Counted, k: int) -> Usual | None:
    """Return what blocks of time were like."""
    span, names = counts.span, counting.fields.names
    numbers = counting.table("numbers").select(
        "minute",
        pl.col("service").cast(pl.Int64),
        pl.col("field").replace_strict(range(len(names)), names, return_dtype=pl.String, default=""),
        "n",
        "asinh",
    )
    cells = counts.cells.select("minute", pl.col("service").cast(pl.Int64), "template", "gravity", "n")
    return Usual.learn(cells, numbers, k, span.days, (span.first, span.first + len(span)))


def _says(facts: dict[str, Any]) -> str:
    expects = {
        "week": "by hour and weekday",
        "day": "by hour of the day",
        "none": "by the two hours before",
    }[facts["grain"]]
    return (
        f"{facts['series']:,} counts by minute, expected {expects}; {', '.join(facts['members'])}; "
        f"{facts['alarms_a_day']:g} false alarms a day"
    )


__all__ = ["NOUN", "ODD", "Judged", "RatesView", "learn_rates", "service_key"]
