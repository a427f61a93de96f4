"""From odd counts to incidents: what is odd at the same time, and belongs together, is one episode.

::

    odd minutes ──► stretches      of one subject, with gaps of at most half an hour
                ──► episodes       of one cause for all we know, see `causes`
                ──► incidents      with reasons, the strongest first, and some of their lines
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from oddlog.incidents import alarming, pressing
from oddlog.pipeline.judging.causes import SAME_TIME, causes_of, overlap
from oddlog.pipeline.judging.rates_reasons import Stretch, reason_of
from oddlog.pipeline.judging.sampling import EACH, Line, Sampling
from oddlog.pipeline.rates import Judged, service_key
from oddlog.rates import Watch
from oddlog.shares import subject_of
from oddlog.types import F64, LEVELS, Incident, Reason, Templates

GAP = 30  # minutes between stretches of one subject that still are one
MOST_STRETCHES = 2_000  # that are put together, the oddest
LONG = 150  # minutes: while something lasts for longer, something else may happen in the same service
MOST_REASONS = 6
MOST_OF_KIND = {
    "concentration": 1,
    "rate": 3,
    "error_share": 2,
    "out_of_range": 2,
    "ramp": 2,
    "silence": 3,
    "unexpected_event": 3,
    "missing_event": 2,
    "gap": 1,
}
MOST_SUBJECTS = 12  # whose lines are shown, of an episode
MOST_LINES = 20
INFO = LEVELS.index("INFO")
SLACK, INSTANT = timedelta(minutes=5), timedelta(minutes=1)
SHARED_TIME = 0.5  # of an incident, that lies in an episode it is part of
SHARED_SERVICES = 5  # of each, that are compared

# What says most comes first where two are about as odd: a type of line more than a service, this more than a host.
_TELLING = {"entity": 3.0, "template": 1.0, "errors": 1.0, "number": 1.3, "status": 0.9, "warnings": 0.9, "lines": 0.8}
_TELLING |= {"step": 1.0, "detour": 0.9, "surge": 0.85, "mix": 0.8}
_TELLING_HOST = 0.5
_TELLING_RAMP = 2.0  # its end is far from usual, but that it climbed to there says more
_LEVEL = {"errors": "ERROR", "warnings": "WARNING", "number": "WARNING", "entity": "WARNING", "gap": "WARNING"}


@dataclass
class Episode:
    """Stretches that belong together, the most telling first; from minute `start` to minute `end`."""

    stretches: list[Stretch]
    reasons: tuple[Reason, ...]
    start: int
    end: int
    lines: tuple[Line, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """Those with the most telling stretches first; of equals, those that were odd first."""
        ranked = sorted((one for one in self.stretches if one.service), key=lambda one: (-_weight(one), one.start))
        return tuple(dict.fromkeys(one.service for one in ranked))[:10]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that are odd by themselves."""
        return tuple(dict.fromkeys(one.host for one in self.stretches if one.host))[:10]

    @property
    def what(self) -> str:
        """What the key of the incident names."""
        first = self.stretches[0]
        if first.kind == "entity":
            return first.name
        if first.kind == "host" and not self.services:
            return f"host {first.host}"
        return service_key(first.service or next(iter(self.services), ""))


def episodes_of(judged: Judged, watch: Watch, templates: Templates, sampled: Sampling) -> list[Episode]:
    """Return what belongs together, in order of time, with the lines `sampled` of it."""
    counted = [one for one in stretches_of(judged.odd) if not _is_mixture(one, judged)]
    stretches = sorted([*counted, *judged.odd_shares], key=lambda one: -one.surprise)[:MOST_STRETCHES]
    found = []
    for cause in causes_of(stretches, judged.traced):
        members = sorted([*cause.core, *cause.beside], key=_order)
        told = _reasons(members, judged, watch, templates)
        lines = [line for one in members[:MOST_SUBJECTS] for line in _lines(one, templates, sampled)]
        found.append(Episode(members, tuple(told), cause.start, cause.end, tuple(dict.fromkeys(lines))[:MOST_LINES]))
    return sorted(found, key=lambda one: (one.start, one.what))


def _lines(one: Stretch, templates: Templates, sampled: Sampling) -> list[Line]:
    """Return some lines of a stretch; a share knows its own."""
    if one.share is None:
        return sampled.of(one)
    return [
        Line(one.share.start_us, source, line, row, int(templates.level[row]) if row < len(templates) else INFO)
        for source, line, row in one.share.lines[:EACH]
    ]


def _is_mixture(one: Stretch, judged: Judged) -> bool:
    """Return whether a mean is far from usual though no value is, of its type: then other types were there.

    A mean over all lines of a service moves with what is asked of it. Where the shares know the number, they know
    what is usual of each type.
    """
    if one.kind != "number" or judged.shares is None or one.name not in judged.numbers:
        return False
    return not any(
        other.kind == "number" and other.service == one.service and other.name == one.name and overlap(one, other) > 0
        for other in judged.odd_shares
    )


def stretches_of(odd: pl.DataFrame) -> list[Stretch]:
    """Return runs of odd minutes of each subject, with the oddest of them."""
    by = ["member", "subject", "who"]
    ordered = odd.sort(*by, "start", "end")
    fresh = (pl.col("start") > pl.col("end").shift(1).cum_max() + GAP).fill_null(value=True).over(by)
    runs = ordered.with_columns(run=fresh.cum_sum().over(by))
    top = runs.sort("score", "start", descending=[True, False], maintain_order=True)
    every = top.group_by(*by, "run", maintain_order=True).agg(
        pl.col("start").min(),
        pl.max_horizontal(pl.col("end").max(), pl.col("start").min()).alias("end"),
        pl.col(
            "minute", "span", "score", "surprise", "seen", "usual", "kind", "service", "host", "name", "template"
        ).first(),
    )
    kept = every.sort("surprise", "start", "member", "subject", descending=[True, False, False, False])
    return [Stretch(**row) for row in kept.head(MOST_STRETCHES).drop("run").iter_rows(named=True)]


def _weight(one: Stretch) -> float:
    return one.surprise * _TELLING.get(one.kind, _TELLING_HOST) * (_TELLING_RAMP if one.member == "ramp" else 1.0)


def _order(one: Stretch) -> tuple[bool, bool, float, int, str, int]:
    first = one.kind == "entity" and one.template >= 0
    late = one.kind == "gap"  # what took long comes late: where there is a number for it, that says more
    return (not first and one.member != "silence", late, -_weight(one), one.start, one.member, one.subject)


def _reasons(members: Sequence[Stretch], judged: Judged, watch: Watch, templates: Templates) -> list[Reason]:
    """Return the reasons of the most telling stretches, of each kind a few."""
    told: list[Reason] = []
    left = dict(MOST_OF_KIND)
    for one in members:
        reason = reason_of(one, judged, watch, templates)
        if left[reason.kind] and reason.text not in {other.text for other in told}:
            left[reason.kind] -= 1
            told.append(reason)
        if len(told) == MOST_REASONS:
            break
    return told


def incident_of(episode: Episode, judged: Judged, templates: Templates, model_id: str) -> Incident:
    """Return the incident of an episode, still without its lines."""
    first = episode.stretches[0]
    start = datetime.fromtimestamp(episode.start * 60, UTC)
    key = f"{episode.what}@{start:%Y-%m-%dT%H:%MZ}"
    surprise = max(one.surprise for one in episode.stretches)
    where = f"{first.service}\n{first.host}" if first.template < 0 else ""
    name = f"rates\n{first.kind}\n{where}\n{_type(first, templates)}"
    rows = _rows(episode, judged.scores)
    return Incident(
        id=hashlib.blake2b(f"{model_id}\n{key}\n{first.kind}".encode(), digest_size=8).hexdigest(),
        key=key,
        keys=tuple(rows["key"].head(100).to_list()) or (key,),
        n_windows=max(len(rows), 1),
        start=start,
        end=datetime.fromtimestamp((episode.end + 1) * 60, UTC),
        severity=float(_severity(episode, templates).max()),
        score=surprise,
        p_value=float(10.0 ** -min(surprise, 300.0)),
        pattern=hashlib.blake2b(name.encode(), digest_size=8).hexdigest(),
        services=episode.services,
        hosts=episode.hosts,
        reasons=episode.reasons,
        lines=(),
    )


def _type(one: Stretch, templates: Templates) -> str:
    """Return the name of what is counted that is the same in every model."""
    if one.share is not None and one.kind == "step":
        before = subject_of("step", one.subject).before
        return f"{_key(before, templates)}>{_key(one.template, templates)}"
    if one.template < 0:
        return one.name if one.kind != "entity" else ""  # the next attacker has another address
    return _key(one.template, templates)


def _key(row: int, templates: Templates) -> str:
    if not 0 <= row < len(templates):
        return str(row)
    return f"{int(templates.key[np.flatnonzero(templates.row == row)].min()):016x}"


def _rows(episode: Episode, scores: pl.DataFrame) -> pl.DataFrame:
    """Return the odd verdicts that belong to an episode."""
    named = {episode.what, *map(service_key, episode.services), *(f"host {name}" for name in episode.hosts)}
    named |= {one.name for one in episode.stretches if one.kind == "entity"}
    start, end = (datetime.fromtimestamp(minute * 60, UTC) for minute in (episode.start, episode.end + 1))
    there = pl.col("is_anomaly") & (pl.col("start") < end) & (pl.col("end") > start)
    return scores.filter(there & pl.col("key").str.replace(r"@[^@]*$", "").is_in(list(named)))


def _severity(episode: Episode, templates: Templates) -> F64:
    rows = [one.template for one in episode.stretches]
    level = [
        int(templates.level[one.template]) if one.template >= 0 else LEVELS.index(_level(one))
        for one in episode.stretches
    ]
    words = alarming([templates.text[row] if row >= 0 else "" for row in rows])
    return pressing(np.array([one.surprise for one in episode.stretches]), np.array(level, np.uint8), words)


def _level(one: Stretch) -> str:
    if one.member == "silence":
        return "WARNING"
    if one.kind == "status":
        return "ERROR" if one.name == "5" else "INFO"
    return _LEVEL.get(one.kind, "INFO")


def is_part(incident: Incident, episode: Incident) -> bool:
    """Return whether an incident of windows or lines is part of one of the rates view.

    It is if it lies in the same time and place, or if both name the same address or user. Within what lasts for hours
    something else may happen, so there it must last about as long.
    """
    if incident.start is None or incident.end is None or episode.start is None or episode.end is None:
        return False
    lasted = max(incident.end - incident.start, INSTANT)
    within = min(incident.end, episode.end + SLACK) - max(incident.start, episode.start - SLACK)
    if within < max(SHARED_TIME * (incident.end - incident.start), timedelta(0)):
        return False
    whole = episode.end - episode.start
    if whole > timedelta(minutes=LONG) and lasted < SAME_TIME * whole:
        return False
    named = {reason.numbers.get("entity") for reason in episode.reasons} - {None}
    if named and incident.key.rsplit("@", 1)[0] in named:
        return True
    return bool(set(incident.services[:SHARED_SERVICES]) & set(episode.services[:SHARED_SERVICES]))


def together(parts: Sequence[Incident], episode: Incident) -> Incident:
    """Return one incident of an episode and its `parts`, the most pressing first.

    What was never seen comes first, then how often things happened, then what else is odd in windows.
    """
    if not parts:
        return episode
    every = [reason for one in parts for reason in one.reasons]
    news = [reason for reason in every if reason.kind == "unseen_template"]
    told = {(reason.kind, reason.numbers.get("entity")) for reason in every}
    more = [r for r in episode.reasons if r.kind != "concentration" or (r.kind, r.numbers["entity"]) not in told]
    first = [r for r in every if r.kind == "concentration"]
    rest = [r for r in parts[0].reasons if r.kind not in ("unseen_template", "concentration")]
    reasons = [*news[:2], *first, *more[: MOST_REASONS - 2], *rest[:2], *more[MOST_REASONS - 2 :], *rest[2:]]
    reasons = list({reason.text: reason for reason in reasons}.values())
    top = parts[0]
    services = dict.fromkeys(name for one in (top, episode, *parts[1:]) for name in one.services)
    hosts = dict.fromkeys(name for one in (top, episode, *parts[1:]) for name in one.hosts)
    return replace(
        top,
        n_windows=sum(one.n_windows for one in parts),
        keys=tuple(dict.fromkeys(key for one in parts for key in one.keys))[:100],
        patterns=tuple(dict.fromkeys(name for one in parts for name in one.patterns))[:100],
        new_types=tuple(dict.fromkeys(name for one in parts for name in one.new_types)),
        company=tuple(dict.fromkeys(name for one in parts for name in one.company)),
        start=min(filter(None, (episode.start, *(one.start for one in parts)))),
        end=max(filter(None, (episode.end, *(one.end for one in parts)))),
        severity=max(episode.severity, *(one.severity for one in parts)),
        services=tuple(services)[:10],
        hosts=tuple(hosts)[:10],
        reasons=tuple(reasons[:MOST_REASONS]),
        urgency="alert",
    )
