"""Why counts are odd, in words and numbers that can be counted again in the raw lines.

===================  ====================================================================================
kind                 says
===================  ====================================================================================
`rate`               far more, or far fewer, lines than usual at this hour
`silence`            a source that usually talks says nothing
`ramp`               a count or a mean climbs, or falls, for six hours
`out_of_range`       the mean of a number is far from usual for ten minutes
`error_share`        the share of errors among all lines is too high
`concentration`      one address or user causes most of a type's failed lines
===================  ====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from oddlog.explain import percent, plain, shorten
from oddlog.pipeline.judging.share_reasons import share_reason
from oddlog.pipeline.rates import Judged
from oddlog.rates import Watch
from oddlog.rates.concentrations import ALL_FAILED, Concentration
from oddlog.rates.counting import BUCKET
from oddlog.rates.levels import SPANS, Levels
from oddlog.rates.ramps import STEP, STEPS
from oddlog.rates.series import dense, trailing
from oddlog.rates.silence import Silence
from oddlog.shares import Odd
from oddlog.types import Reason, Templates


@dataclass(frozen=True)
class Stretch:
    """A run of odd minutes of one subject; `minute`, `span`, `score`, `seen` and `usual` are of the oddest of them.

    `share` is what is odd where that is a share of steps, gaps or numbers: then all is of the whole stretch.
    """

    member: str
    subject: int
    who: int
    start: int  # first minute
    end: int  # last minute
    minute: int
    span: int
    score: float
    surprise: float
    seen: float
    usual: float
    kind: str
    service: str
    host: str
    name: str
    template: int
    share: Odd | None = None


def reason_of(one: Stretch, judged: Judged, watch: Watch, templates: Templates) -> Reason:
    """Return why a stretch is odd."""
    if one.share is not None:
        return share_reason(one, one.share, judged, templates)
    if one.member == "concentration":
        return _concentration(one, judged, watch, templates)
    if one.member == "silence":
        return _silence(one, watch)
    if one.member == "error-share":
        return _share(one, judged)
    if one.member == "ramp":
        return _ramp(one, templates)
    return _mean(one) if one.member == "mean" else _rate(one, watch, templates)


def _named(one: Stretch, templates: Templates) -> str:
    """Return what is counted, in words."""
    of = _of(one)
    if one.kind == "template":
        return f"lines of {shorten(templates.text[one.template])}" + (f" from {one.service}" if one.service else "")
    words = {"errors": "ERROR lines", "warnings": "lines of level WARNING and above", "lines": "lines"}
    if one.kind == "host":
        return f"lines from host {one.host}"
    if one.kind == "status":
        return f"answers {one.name}xx{of}"
    return f"{words[one.kind]}{of}" if one.kind in words else f"{one.name}{of}"


def _of(one: Stretch) -> str:
    return (f" of {one.service}" if one.service else "") + (f" on {one.host}" if one.host else "")


def _rate(one: Stretch, watch: Watch, templates: Templates) -> Reason:
    seasonal = {"week": "usual for this hour and weekday", "day": "usual for this hour"}
    than = seasonal.get(watch.season.grain, "") if one.member == "z-score" else "the two hours before"
    long = "1 min" if one.span == 1 else f"{one.span} min"
    what, factor = _named(one, templates), one.seen / max(one.usual, 1e-9)
    levels = cast("Levels", watch.members[one.member])
    most = float(levels.most[SPANS.index(one.span), one.subject])
    numbers: dict[str, float | int | str] = {
        "seen": int(one.seen),
        "usual": round(one.usual, 2),
        "minutes": one.span,
        "most": int(most),
    }
    usually = f"{plain(one.usual)} expected"
    if factor < 1:
        return Reason("rate", f"only {percent(factor)} of {than}: {one.seen:,.0f} {what} in {long}, {usually}", numbers)
    atmost = f", at most {most:,.0f} in training"
    if one.usual < 1:  # a multiple of next to nothing sounds worse than it is
        often = f"{plain(one.usual / one.span)} a minute" if one.usual else "none"
        when = {"": "usually", "the two hours before": "in the two hours before"}.get(than, than)
        return Reason("rate", f"{one.seen:,.0f} {what} in {long}, {when} {often}{atmost}", numbers)
    return Reason("rate", f"{_times(factor)} {than}: {one.seen:,.0f} {what} in {long}, {usually}{atmost}", numbers)


def _times(factor: float) -> str:
    if factor >= 1_000:  # noqa: PLR2004 - where next to nothing is expected, the factor says no more than "many"
        return "over 1,000×"
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.1f}×"  # noqa: PLR2004 - two digits


def _silence(one: Stretch, watch: Watch) -> Reason:
    longest = float(cast("Silence", watch.members["silence"]).longest[one.subject])
    what = f"host {one.host}" if one.kind == "host" else one.service or "every line without a service"
    rate = one.usual / one.span
    pause = f"{longest:,.0f} min" if longest else "under a minute"
    numbers: dict[str, float | int | str] = {
        "minutes": one.span,
        "usual_per_minute": round(rate, 3),
        "longest_pause_minutes": int(longest),
    }
    return Reason(
        "silence",
        f"{what} has been silent for {_long(one.span)}; usually {plain(rate)} lines a minute then, "
        f"longest pause in training {pause}",
        numbers,
    )


def _long(minutes: int) -> str:
    if minutes < 120:  # noqa: PLR2004 - two hours
        return f"{minutes} min"
    return f"{minutes / 60:.1f} h"


def _share(one: Stretch, judged: Judged) -> Reason:
    what = {"errors": "ERROR", "warnings": "WARNING or above"}.get(one.kind, f"{one.name}xx")
    among = "answers" if one.kind == "status" else "lines"
    counts = judged.counted
    series = counts.series.frame()
    of = pl.col("service") == one.service
    kind = pl.col("kind") == ("status" if one.kind == "status" else "lines")
    rows = series.filter(of & kind)["series"].cast(pl.Int64).to_numpy()
    total = trailing(dense(counts.counts, counts.span, rows), one.span)[:, one.minute - counts.span.first].sum()
    whose = f"of {one.service}" if one.service else "without a service"
    numbers: dict[str, float | int | str] = {"share": one.seen, "usual_share": one.usual, "total": int(total)}
    return Reason(
        "error_share",
        f"{percent(one.seen)} of {total:,.0f} {among} {whose} in {one.span} min are {what}, "
        f"usually {percent(one.usual)}",
        numbers,
    )


def _ramp(one: Stretch, templates: Templates) -> Reason:
    what = _named(one, templates)
    verb = "rose" if one.seen > one.usual else "fell"
    unit = "" if one.kind == "number" else " an hour"
    hours = STEP * STEPS // 60
    numbers: dict[str, float | int | str] = {"from": one.usual, "to": one.seen, "hours": hours}
    text = f"{what} {verb} from {plain(one.usual)} to {plain(one.seen)}{unit} over {hours} h"
    return Reason("ramp", text, numbers)


def _mean(one: Stretch) -> Reason:
    numbers: dict[str, float | int | str] = {"seen": one.seen, "usual": one.usual, "minutes": one.span}
    text = f"{one.name}{_of(one)}: mean {plain(one.seen)} over {one.span} min, usually about {plain(one.usual)}"
    return Reason("out_of_range", text, numbers)


def _concentration(one: Stretch, judged: Judged, watch: Watch, templates: Templates) -> Reason:
    """Return whose lines they are, counted over all of the stretch."""
    counts = judged.counted
    table = counts.failures if one.template >= 0 or one.template == ALL_FAILED else counts.entities
    then = table.filter(pl.col("bucket").is_between(one.start // BUCKET, one.end // BUCKET))
    if one.template >= 0:
        then = then.filter(pl.col("template") == one.template)
    total, lines = int(then["n"].sum()), int(then.filter(pl.col("entity") == one.who)["n"].sum())
    usual_share, most = cast("Concentration", watch.members["concentration"]).usual(one.template)
    what = "lines that name one" if one.template != ALL_FAILED else "failed lines"
    if one.template >= 0:
        what = f"× {shorten(templates.text[one.template])}"
    numbers: dict[str, float | int | str] = {
        "lines": lines,
        "total": total,
        "share": lines / max(total, 1),
        "entity": one.name,
        "usual_most": int(most),
    }
    usually = f"usually at most {most:,.0f} in {BUCKET} min from one"
    if not np.isnan(usual_share):
        numbers["usual_share"] = usual_share
        usually = f"usually at most {percent(usual_share)} from one"
    span = _long(one.end // BUCKET * BUCKET + BUCKET - one.start // BUCKET * BUCKET)
    text = f"{one.name}: {percent(lines / max(total, 1))} of {total:,} {what} in {span} ({lines:,} lines); {usually}"
    return Reason("concentration", text, numbers)
