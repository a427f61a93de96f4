"""What a report tells of a whole log, collected block by block while it is judged.

Bounded: time is counted in intervals that grow as the log does (never more than `MOST_INTERVALS` of them), services
and numeric fields beyond a limit are put together, scores are kept as one number per window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from oddlog.pipeline.events import OTHERS, Codes
from oddlog.pipeline.judging.closeups import Closeup, Closeups
from oddlog.pipeline.reading import Reading
from oddlog.templates import Matcher
from oddlog.types import F32, LEVELS, NO_TIME, TIME, Context

SECOND_US = 1_000_000
# Each divides the next, so that coarser intervals are sums of finer ones.
WIDTHS_US = tuple(SECOND_US * s for s in (1, 10, 60, 300, 900, 3_600, 21_600, 86_400, 604_800, 31_449_600))
MOST_INTERVALS = 21_600  # six hours of seconds, fifteen days of minutes
MOST_SERVICES = 64
MOST_NUMBERS = 16
COMPACT_ROWS = 400_000
MOST_NEWS = 300
MOST_NEWS_COUNTED = 200_000
ERROR = LEVELS.index("ERROR")
_RATES = pl.Schema({"interval": pl.Int64(), "service": pl.UInt16(), "lines": pl.Int64(), "errors": pl.Int64()})
_ODD = pl.Schema({"interval": pl.Int64(), "service": pl.UInt16(), "odd": pl.Int64()})
_SUMS = pl.Schema(
    {"interval": pl.Int64(), "service": pl.UInt16(), "name": pl.UInt8(), "total": pl.Float64(), "n": pl.Int64()}
)
IDENTIFIERS = r"(?i)(^|[._-])(\w*id|port|line|lineno|pid|tid|thread|ts|time|timestamp|seq|version)$"
"""Names of numbers that count or name something rather than measure it."""


@dataclass(frozen=True)
class ViewScores:
    """The scores of one view's windows.

    Attributes
    ----------
    name, noun : str
        Of the view, and the plural of its windows.
    threshold : float
        Above it a window is odd.
    score : F32 [w]
        Those that there are; a window without an opinion has none.
    n_odd : int
        How many windows are anomalies.

    """

    name: str
    noun: str
    threshold: float
    score: F32
    n_odd: int


@dataclass(frozen=True)
class Overview:
    """A whole log at a glance.

    Attributes
    ----------
    width_us : int
        Length of an interval.
    rates : pl.DataFrame
        ``interval service lines errors odd``, by interval (its start, microseconds) and service (name): lines,
        those of level ERROR and above, those that are odd by themselves.
    numbers : pl.DataFrame
        ``interval name service mean n``: mean of ln(1 + |x|) of each numeric field by service.
    views : tuple of ViewScores
        Scores of all windows.
    news : pl.DataFrame
        ``text level n first service source line``: message types that the model has never seen, the gravest and
        most frequent first, at most `MOST_NEWS`.
    n_news : int
        How many there are.
    n_untimed : int
        Lines without a time, which are in no rate.
    sources : tuple of str
        What was read.
    closeups : mapping of str to Closeup
        The most pressing incidents from near, by id.

    """

    width_us: int
    rates: pl.DataFrame
    numbers: pl.DataFrame
    views: tuple[ViewScores, ...]
    news: pl.DataFrame
    n_news: int
    n_untimed: int
    sources: tuple[str, ...]
    closeups: Mapping[str, Closeup]


@dataclass
class Collector:
    """Takes in blocks of records and verdicts, and makes an `Overview` of them."""

    context: Context
    matcher: Matcher
    services: Codes
    sources: Codes
    closeups: Closeups = field(init=False)
    n_untimed: int = 0
    _width: int = 0  # into WIDTHS_US
    _rates: list[pl.DataFrame] = field(default_factory=list)
    _numbers: list[pl.DataFrame] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)
    _news: list[pl.DataFrame] = field(default_factory=list)
    _odd: list[pl.DataFrame] = field(default_factory=list)
    _views: list[ViewScores] = field(default_factory=list)
    _waiting: int = 0

    def __post_init__(self) -> None:
        self.closeups = Closeups(self.matcher.text_of, self.sources)
        self._names = [number.name for number in self.context.numbers[:MOST_NUMBERS]]

    def add_records(self, records: pl.DataFrame, events: pl.DataFrame) -> None:
        """Take in a block; `events` has ``time_us template level service source line count n.00 …`` of each record."""
        self._add_news(events.filter(pl.col("template") >= len(self.context.templates)))
        timed = events["time_us"] != NO_TIME
        self.n_untimed += len(events) - int(timed.sum())
        at = events.select(self._interval(), service=pl.col("service").clip(upper_bound=MOST_SERVICES))
        counted = at.with_columns(
            lines=events["count"].cast(pl.Int64),
            errors=pl.when(events["level"] >= ERROR).then(events["count"]).otherwise(0).cast(pl.Int64),
        ).filter(timed)
        self._rates.append(_summed(counted, ["interval", "service"]))
        for code, value in self._measured(records, events):
            number = at.with_columns(
                name=pl.lit(code, pl.UInt8),
                # ln(1 + |x|): one request of an hour must not be all that a minute's mean tells of
                total=value.cast(pl.Float64).abs().log1p(),
                n=pl.lit(1, pl.Int64),
            ).filter(timed & value.is_finite().fill_null(value=False))
            self._numbers.append(_summed(number, ["interval", "name", "service"]))
        self._waiting += len(self._rates[-1]) + len(events)
        if self._waiting > COMPACT_ROWS:
            self._compact()

    def add_lines(self, lines: pl.DataFrame) -> None:
        """Take in lines that are odd by themselves: ``time_us service``."""
        odd = lines.filter(pl.col("time_us") != NO_TIME)
        at = odd.select(
            self._interval(), service=pl.col("service").clip(upper_bound=MOST_SERVICES), odd=pl.lit(1, pl.Int64)
        )
        self._odd = [_summed(pl.concat([*self._odd, at]), ["interval", "service"])]

    def add_view(self, name: str, noun: str, verdicts: pl.DataFrame) -> None:
        """Take in all verdicts (`types.SCORES`) of a view."""
        self._views.append(
            ViewScores(
                name,
                noun,
                float(verdicts["threshold"].max() or 0.0),  # type: ignore[arg-type] # a column of floats
                verdicts["score"].cast(pl.Float32).drop_nulls().drop_nans().to_numpy(),
                int(verdicts["is_anomaly"].sum()),
            )
        )

    def overview(self, reading: Reading) -> Overview:
        """Return what was collected; the lines around odd ones are read once more."""
        self._compact()
        by = ["interval", "service"]
        rates = self._rates[0] if self._rates else pl.DataFrame(schema=_RATES)
        odd = self._odd[0] if self._odd else pl.DataFrame(schema=_ODD)
        odd = _summed(odd.with_columns(self._interval("interval")), by)
        rates = rates.join(odd, on=by, how="left").with_columns(pl.col("odd").fill_null(0)).sort(by)
        numbers = self._numbers[0] if self._numbers else pl.DataFrame(schema=_SUMS)
        numbers = numbers.select("interval", "name", "service", mean=pl.col("total") / pl.col("n"), n="n")
        return Overview(
            WIDTHS_US[self._width],
            self._named(rates),
            self._named(numbers).with_columns(_replaced("name", dict(enumerate(self._names)))),
            tuple(self._views),
            self._top_news(),
            self.matcher.n_unseen,
            self.n_untimed,
            tuple(self.sources.names),
            self.closeups.read(reading),
        )

    def _interval(self, column: str = "time_us") -> pl.Expr:
        width = WIDTHS_US[self._width]
        return pl.col(column).floordiv(width).mul(width).alias("interval")

    def _measured(self, records: pl.DataFrame, events: pl.DataFrame) -> list[tuple[int, pl.Series]]:
        """Return the numbers that are followed: those the model watches, else the fields that are no identifiers."""
        if self.context.numbers:
            return [(code, events[f"n.{code:02d}"]) for code in range(min(len(self.context.numbers), MOST_NUMBERS))]
        fields = pl.Series([name[2:] for name in records.columns if name.startswith("n.")], dtype=pl.String)
        followed = fields.filter(~fields.str.contains(IDENTIFIERS)).to_list()
        self._names += [name for name in followed if name not in self._names][: MOST_NUMBERS - len(self._names)]
        return [(self._names.index(name), records[f"n.{name}"]) for name in followed if name in self._names]

    def _compact(self) -> None:
        """Sum up what waits; where there are too many intervals, make them longer."""
        if self._rates:
            while True:
                rates = pl.concat(self._rates).with_columns(self._interval("interval"))
                self._rates = [_summed(rates, ["interval", "service"])]
                if self._rates[0]["interval"].n_unique() <= MOST_INTERVALS or self._width + 1 == len(WIDTHS_US):
                    break
                self._width += 1
        if self._numbers:
            numbers = pl.concat(self._numbers).with_columns(self._interval("interval"))
            self._numbers = [_summed(numbers, ["interval", "name", "service"])]
        self._compact_news()
        self._waiting = sum(len(part) for part in (*self._rates, *self._numbers, *self._news)) // 2

    def _add_news(self, events: pl.DataFrame) -> None:
        if not len(events):
            return
        self._news.append(
            events.group_by("template", maintain_order=True).agg(
                pl.col("level").max(),
                n=pl.col("count").sum().cast(pl.Int64),
                first=pl.col("time_us").filter(pl.col("time_us") != NO_TIME).min(),
                service=pl.col("service").first(),
                source=pl.col("source").first(),
                line=pl.col("line").first(),
            )
        )

    def _compact_news(self) -> None:
        if not self._news:
            return
        news = pl.concat(self._news).group_by("template", maintain_order=True)
        merged = news.agg(
            pl.col("level").max(), pl.col("n").sum(), pl.col("first").min(), pl.col("service", "source", "line").first()
        )
        self._news = [merged.sort("level", "n", "template", descending=[True, True, False]).head(MOST_NEWS_COUNTED)]

    def _top_news(self) -> pl.DataFrame:
        names = ("text", "level", "n", "first", "service", "source", "line")
        if not self._news:
            types = (pl.String, pl.String, pl.Int64, TIME, pl.String, pl.String, pl.UInt64)
            return pl.DataFrame(schema=dict(zip(names, types, strict=True)))
        top = self._news[0].head(MOST_NEWS)
        return top.with_columns(
            pl.Series("text", [self.matcher.text_of(row) for row in top["template"]], dtype=pl.String),
            pl.Series("level", [LEVELS[code] for code in top["level"]], dtype=pl.String),
            pl.Series("service", [self.services.names[code] for code in top["service"]], dtype=pl.String),
            pl.Series("source", [self.sources.names[code] for code in top["source"]], dtype=pl.String),
            pl.col("first").cast(TIME),
        ).select(names)

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        names = dict(enumerate(self.services.names[:MOST_SERVICES])) | {MOST_SERVICES: OTHERS}
        return frame.with_columns(_replaced("service", names))


def _summed(frame: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return frame.group_by(by, maintain_order=True).sum()


def _replaced(column: str, names: Mapping[int, str]) -> pl.Expr:
    return pl.col(column).replace_strict(list(names), list(names.values()), return_dtype=pl.String)
