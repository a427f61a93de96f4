"""From what was collected to what is drawn: rates and scores over time, hours and weekdays, scores, correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.judging.overview import Overview, ViewScores
from oddlog.reports import charts
from oddlog.reports.correlations import Correlation, lagged
from oddlog.reports.elements import Child, Markup, element
from oddlog.reports.scales import SMALLEST_US, step_for
from oddlog.reports.wording import at_us, length, number_name, plural, severity, span
from oddlog.types import F64, I64, NO_SERVICE, Incident, Templates

COLUMNS = 180  # intervals of a chart over time
MOST_FLAGS = 9
BINS = 60
MOST_TIMES = 5.0  # the threshold, up to which scores over time are drawn
BULK = (0.001, 0.999)  # where nearly all lines lie …
STRAY = 10  # … and as long again before and after is drawn, if all is so many times as long: a clock may be broken
MINUTE_US = 60_000_000
TREND = 60  # intervals of a service's small time line
MOST_SERVICES = 12
MOST_CORRELATED = 12  # services, and as many of their errors
MOST_MEASURED = 8
MOST_INTERVALS = 2_880  # two days of minutes


@dataclass(frozen=True)
class Domain:
    """The stretch of time that is drawn, and how many lines lie outside of it."""

    low: int
    high: int
    outside: int = 0


def domain(overview: Overview) -> Domain | None:
    """Return what to draw; None where no line has a time."""
    by_time = overview.rates.group_by("interval").agg(pl.col("lines").sum()).sort("interval")
    if not len(by_time):
        return None
    at, lines = by_time["interval"].to_numpy(), by_time["lines"].to_numpy()
    share = np.cumsum(lines) / lines.sum()
    first, last = np.searchsorted(share, BULK)
    bulk_low, bulk_high = int(at[first]), int(at[min(last, len(at) - 1)]) + overview.width_us
    bulk = max(bulk_high - bulk_low, SMALLEST_US)
    inside = np.ones(len(at), np.bool_)
    if int(at[-1]) - int(at[0]) > STRAY * bulk:
        inside = (at >= bulk_low - bulk) & (at < bulk_high + bulk)
    low, high = int(at[inside][0]), int(at[inside][-1]) + overview.width_us
    return Domain(low, max(high, low + SMALLEST_US), int(lines[~inside].sum()))


def time_line(found: Detection, overview: Overview, drawn: Domain, n_cards: int) -> Markup:
    """Return lines, errors, oddities and scores over time, with the most pressing incidents marked."""
    step = step_for(drawn.high - drawn.low, COLUMNS, overview.width_us)
    rates = overview.rates.filter(pl.col("interval").is_between(drawn.low, drawn.high, closed="left"))
    by_step = rates.group_by(at=pl.col("interval") // step * step).agg(pl.sum("lines", "errors", "odd")).sort("at")
    judged = _by_step(found.scores, step, drawn)
    rows = [*_written(by_step, step), _odd(by_step, judged, step), _scored(judged, step)]
    label = f"Lines, errors, odd windows and scores over time, {span(at_us(drawn.low), at_us(drawn.high))} UTC"
    return charts.strips(rows, drawn.low, drawn.high, _flags(found.incidents[: min(MOST_FLAGS, n_cards)]), label)


def _written(rates: pl.DataFrame, step: int) -> list[charts.Strip]:
    """Return the lines of each interval, and those of them that tell of errors, if any does."""
    n_lines, n_errors = int(rates["lines"].sum()), int(rates["errors"].sum())
    lines = _bars(_column(rates, "lines"), step, "line")
    strips = [charts.Strip(f"Lines {_per(step)}", plural(n_lines, "line"), lines)]
    if n_errors:
        errors = _bars(_column(rates, "errors"), step, "error", "error")
        note = f"{plural(n_errors, 'line')} of level ERROR or above"
        strips.append(charts.Strip(f"Errors {_per(step)}", note, errors))
    return strips


def _odd(rates: pl.DataFrame, judged: Sequence[tuple[int, int, float | None]], step: int) -> charts.Strip:
    windows = {at: n for at, n, _ in judged}
    alone = _column(rates, "odd")
    n_alone = sum(alone.values())
    note: list[Child] = [
        (_legend("odd"), f"{plural(sum(windows.values()), 'window')}   "),
        (_legend("alone"), f"{plural(n_alone, 'line')} odd by {'itself' if n_alone == 1 else 'themselves'}"),
    ]
    bars = [
        *_bars(windows, step, "odd window", "odd"),
        *_bars(alone, step, "line odd by itself", "alone", base=windows, many="lines odd by themselves"),
    ]
    return charts.Strip(f"Odd {_per(step)}", note, bars)


def _scored(judged: Sequence[tuple[int, int, float | None]], step: int) -> charts.Strip:
    ratios = [(at, ratio) for at, _, ratio in judged if ratio is not None]
    # What is far beyond stands at the top: else nothing is seen of all that lies around the threshold.
    dots = [
        charts.Bar(
            *(at, at + step, min(ratio, MOST_TIMES)),
            f"{_interval(at, step)}: {ratio:.2f} × threshold",
            "odd" if ratio > 1 else "",
        )
        for at, ratio in ratios
    ]
    highest = max((ratio for _, ratio in ratios), default=0.0)
    note = f"above the line is odd; the highest is {highest:,.1f} × the threshold"
    title = f"Highest score {_per(step)}, as a multiple of the threshold"
    return charts.Strip(title, note, dots, (1.0, "threshold"), dots=True)


def _flags(incidents: Sequence[Incident]) -> list[charts.Flag]:
    return [
        charts.Flag(
            *_span_us(one),
            str(rank),
            f"{rank}: {severity(one)}, {span(one.start, one.end)}",
            f"#i{rank}",
            severity(one),
        )
        for rank, one in enumerate(incidents, 1)
        if one.start is not None
    ]


def _bars(
    values: Mapping[int, int],
    step: int,
    noun: str,
    kind: str = "",
    *,
    base: Mapping[int, int] | None = None,
    many: str = "",
) -> list[charts.Bar]:
    under = base or {}
    return [
        charts.Bar(at, at + step, n, f"{_interval(at, step)}: {plural(n, noun, many)}", kind, under.get(at, 0))
        for at, n in sorted(values.items())
        if n
    ]


def _column(rates: pl.DataFrame, name: str) -> dict[int, int]:
    return dict(rates.select("at", name).iter_rows())


def _per(step: int) -> str:
    return f"per {length(step / 1e6).removeprefix('1 ')}"


def _legend(kind: str) -> Markup:
    return element("tspan", "■ ", class_=f"bar {kind}")


def _span_us(incident: Incident) -> tuple[float, float]:
    assert incident.start is not None
    end = incident.end or incident.start
    return incident.start.timestamp() * 1e6, end.timestamp() * 1e6


def _interval(at: int, step: int) -> str:
    return span(at_us(at), at_us(at + step - 1_000_000)) if step > 1_000_000 else span(at_us(at), None)  # noqa: PLR2004 - a second


def _by_step(scores: pl.DataFrame, step: int, drawn: Domain) -> list[tuple[int, int, float | None]]:
    """Return the odd windows that began in each interval, and the highest score over its view's threshold."""
    start = pl.col("start").to_physical()
    threshold = pl.when(pl.col("threshold") > 0).then("threshold").otherwise(1.0)
    by_step = (
        scores.filter(start.is_between(drawn.low, drawn.high, closed="left"))
        .group_by(at=start // step * step)
        .agg(pl.col("is_anomaly").sum(), ratio=(pl.col("score").fill_nan(None) / threshold).max())
    )
    return by_step.sort("at").rows()


def hours_and_weekdays(scores: pl.DataFrame) -> I64:
    """Return how many odd windows began in each hour of each weekday [7, 24], Monday first, UTC."""
    odd = scores.filter("is_anomaly", pl.col("start").is_not_null())["start"]
    cell = (odd.dt.weekday().cast(pl.Int64) - 1) * 24 + odd.dt.hour()
    return np.bincount(cell.to_numpy(), minlength=168).reshape(7, 24)


def distribution(view: ViewScores) -> Markup | None:
    """Return how scores of a view's windows are distributed, None where no window has one."""
    score = view.score.astype(np.float64)
    if not len(score):
        return None
    # The edges meet at the threshold, so that no bar is half odd.
    high = max(float(score.max()), view.threshold * 1.25, 1e-9)
    low = min(float(score.min()), 0.0)
    below = max(round(BINS * (view.threshold - low) / (high - low)), 1)
    edges = np.concatenate(
        [np.linspace(low, view.threshold, below + 1), np.linspace(view.threshold, high, max(BINS - below, 1) + 1)[1:]]
    )
    counts, _ = np.histogram(score, edges)
    label = f"Scores of {len(score):,} {view.noun}, threshold {view.threshold:.2f}, {view.n_odd:,} above it"
    return charts.histogram(edges, counts, view.threshold, label, view.noun)


@dataclass(frozen=True)
class Service:
    """What a service wrote: lines, those of level ERROR and above, those odd by themselves; lines over time."""

    name: str
    lines: int
    errors: int
    odd: int
    trend: I64


def services(overview: Overview, drawn: Domain) -> list[Service]:
    """Return the services with most lines."""
    total = overview.rates.group_by("service").agg(pl.sum("lines", "errors", "odd"))
    top = total.sort("lines", "service", descending=[True, False]).head(MOST_SERVICES)
    step = step_for(drawn.high - drawn.low, TREND, overview.width_us)
    first = drawn.low // step
    n = (drawn.high - 1) // step - first + 1
    rates = overview.rates.filter(pl.col("interval").is_between(drawn.low, drawn.high, closed="left"))
    rates = rates.with_columns(at=pl.col("interval") // step - first)
    trend = _series(rates, [(name,) for name in top["service"]], ["service"], pl.col("lines"), n).astype(np.int64)
    return [Service(row[0], row[1], row[2], row[3], trend[i]) for i, row in enumerate(top.iter_rows())]


@dataclass(frozen=True)
class Together:
    """A correlation in names: lines of `service` and `other` (errors, or a measured number, of a service)."""

    service: str
    other: str
    lag_us: int
    r: float
    n: int


def correlations(overview: Overview, drawn: Domain, templates: Templates) -> tuple[int, list[Together]]:
    """Return the length of the intervals, and what goes along with what, the strongest first."""
    step = max(step_for(drawn.high - drawn.low, MOST_INTERVALS, overview.width_us), MINUTE_US)
    n = -(-(drawn.high - drawn.low // step * step) // step)
    rates = overview.rates.filter(pl.col("interval").is_between(drawn.low, drawn.high, closed="left"))
    rates = rates.with_columns(at=(pl.col("interval") - drawn.low // step * step) // step)
    services = _most(rates.with_columns(n=pl.col("lines") - pl.col("errors")))
    failing = _most(rates.with_columns(n="errors"))
    activity = _series(rates, [(name,) for name in services], ["service"], pl.col("lines") - pl.col("errors"), n)
    errors = _series(rates, [(name,) for name in failing], ["service"], pl.col("errors"), n)
    numbers = overview.numbers.filter(pl.col("interval").is_between(drawn.low, drawn.high, closed="left"))
    numbers = numbers.with_columns(at=(pl.col("interval") - drawn.low // step * step) // step)
    by = ["name", "service"]
    most = numbers.group_by(by).agg(pl.col("n").sum()).sort("n", *by, descending=[True, False, False])
    measured = [(name, service) for name, service, _ in most.head(MOST_MEASURED).iter_rows()]
    means = _series(numbers, measured, by, pl.col("mean") * pl.col("n"), n)
    weights = _series(numbers, measured, by, pl.col("n"), n)
    means = np.where(weights > 0, means / np.maximum(weights, 1), np.nan)
    names = [f"errors of {s or NO_SERVICE}" for s in failing]
    called = [(number_name(name, templates), service) for name, service in measured]
    names += [f"{name} of {service}" if service else name for name, service in called]
    # Of logarithms, as the measured numbers are: else one minute of a storm is all that a correlation tells of.
    found = lagged(np.log1p(activity), np.concatenate([np.log1p(errors), means]))
    return step, [_told(one, services, names, step) for one in found]


def _told(one: Correlation, services: Sequence[str], names: Sequence[str], step: int) -> Together:
    return Together(services[one.activity] or NO_SERVICE, names[one.other], one.lag * step, one.r, one.n)


def _most(rates: pl.DataFrame) -> list[str]:
    """Return the services with most of ``n``, those with none left out."""
    total = rates.group_by("service").agg(pl.col("n").sum()).filter(pl.col("n") > 0)
    return total.sort("n", "service", descending=[True, False]).head(MOST_CORRELATED)["service"].to_list()


def _series(frame: pl.DataFrame, keys: Sequence[tuple[str, ...]], by: list[str], value: pl.Expr, n: int) -> F64:
    """Return the sum of `value` of each key in each of `n` intervals [x, n]."""
    summed = frame.group_by(*by, "at").agg(value.sum().alias("value"))
    result = np.zeros((len(keys), n))
    rows = {key: i for i, key in enumerate(keys)}
    for *key, at, value_ in summed.iter_rows():
        row = rows.get(tuple(key))
        if row is not None:
            result[row, at] = value_
    return result
