"""From odd counts to incidents: what is odd at the same time, and belongs together, is one episode.

::

    odd minutes ──► stretches      of one subject, with gaps of at most ten minutes
                ──► episodes       stretches that begin or last together, or are of one service
                ──► incidents      with reasons, the strongest first, and some of their lines
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from oddlog.incidents import alarming, pressing
from oddlog.pipeline.rates import Judged, service_key
from oddlog.pipeline.rates_reasons import Stretch, reason_of
from oddlog.rates import Watch
from oddlog.rates.counting import BUCKET, US_PER_MINUTE
from oddlog.types import F64, LEVELS, Bool, Incident, Reason, Templates

GAP = 30  # minutes between stretches of one subject that still are one
MOST_STRETCHES = 2_000  # that are put together, the oddest
TOGETHER = 0.5  # share of the shorter of two stretches of other services in which both are odd …
SAME_START = 10  # … if they begin so many minutes apart at most
SAME_SILENCE = 2
MOST_REASONS = 6
MOST_OF_KIND = {"concentration": 1, "rate": 3, "error_share": 2, "out_of_range": 2, "ramp": 2, "silence": 3}
MOST_SUBJECTS = 12  # whose lines are shown, of an episode
LINES_EACH = 4
MOST_LINES = 20
LEAST_WINDOWS = 2  # odd at the same time, before their incident is taken for that of the rates view
SHARED_TIME = 0.5  # of the shorter of two incidents, that lies in the other
SHARED_SERVICES = 5  # of each, that are compared
BEFORE = 10  # minutes before a silence of which lines are shown

# What says most comes first where two are about as odd: a type of line more than a service, this more than a host.
_TELLING = {"entity": 3.0, "template": 1.0, "errors": 1.0, "number": 1.0, "status": 0.9, "warnings": 0.9, "lines": 0.8}
_TELLING_HOST = 0.5
_TELLING_RAMP = 2.0  # its end is far from usual, but that it climbed to there says more
_LEVEL = {"errors": "ERROR", "warnings": "WARNING", "number": "WARNING", "entity": "WARNING"}


@dataclass
class Episode:
    """Stretches that belong together, the most telling first."""

    stretches: list[Stretch]
    reasons: tuple[Reason, ...]
    lines: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # rank, time, source, line, template
    levels: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """First minute."""
        return min(one.start for one in self.stretches)

    @property
    def end(self) -> int:
        """Last minute."""
        return max(one.end for one in self.stretches)

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


def episodes_of(judged: Judged, watch: Watch, templates: Templates) -> list[Episode]:
    """Return what belongs together, in order of time."""
    stretches = _stretches(judged.odd)
    group = _groups(stretches)
    found = []
    for i in range(max(group, default=-1) + 1):
        members = sorted((s for s, g in zip(stretches, group, strict=True) if g == i), key=_order)
        told = _reasons(members, judged, watch, templates)
        found.append(Episode(members, tuple(told)))
    return sorted(found, key=lambda one: (one.start, one.what))


def _stretches(odd: pl.DataFrame) -> list[Stretch]:
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


def _groups(stretches: Sequence[Stretch]) -> list[int]:
    """Return the episode each stretch belongs to."""
    parent = list(range(len(stretches)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    by_start = sorted(range(len(stretches)), key=lambda i: stretches[i].start)
    open_: list[int] = []
    for i in by_start:
        open_ = [j for j in open_ if stretches[j].end + GAP >= stretches[i].start]
        for j in open_:
            if root(i) != root(j) and _together(stretches[j], stretches[i]):
                parent[root(i)] = root(j)
        open_.append(i)
    order: dict[int, int] = {}
    return [order.setdefault(root(i), len(order)) for i in range(len(stretches))]


def _together(one: Stretch, other: Stretch) -> bool:
    """Return whether two stretches, at most a gap apart, have one cause for all we know."""
    if "ramp" in (one.member, other.member):
        # The end of a ramp is far from usual, too; anything else that happens meanwhile is another matter.
        return _series(one) == _series(other) or (one.member == other.member and _same_service(one, other))
    if "silence" in (one.member, other.member):
        both = one.member == other.member
        return abs(one.start - other.start) <= SAME_SILENCE if both else _same_service(one, other)
    if one.kind == other.kind == "entity":
        return one.name == other.name
    if "entity" in (one.kind, other.kind):
        return _caused_by(*((one, other) if one.kind == "entity" else (other, one)))
    overlap = min(one.end, other.end) - max(one.start, other.start) + 1
    shorter = min(one.end - one.start, other.end - other.start) + 1
    begin_together = abs(one.start - other.start) <= SAME_START
    return _same_service(one, other) or (begin_together and overlap >= TOGETHER * shorter)


def _same_service(one: Stretch, other: Stretch) -> bool:
    return bool(one.service) and one.service == other.service


def _caused_by(who: Stretch, what: Stretch) -> bool:
    """Return whether an entity's lines are what there is too much of."""
    if who.template >= 0:
        return who.template == what.template or _same_service(who, what)
    is_count = what.member in ("z-score", "moving-average")
    return is_count and abs(who.start - what.start) <= BUCKET and what.seen >= TOGETHER * who.seen


def _series(one: Stretch) -> tuple[str, str, str, str, int]:
    return one.kind, one.service, one.host, one.name, one.template


def _weight(one: Stretch) -> float:
    return one.surprise * _TELLING.get(one.kind, _TELLING_HOST) * (_TELLING_RAMP if one.member == "ramp" else 1.0)


def _order(one: Stretch) -> tuple[bool, float, int, str, int]:
    first = one.kind == "entity" and one.template >= 0
    return (not first and one.member != "silence", -_weight(one), one.start, one.member, one.subject)


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


def sample(episodes: Sequence[Episode], events: pl.DataFrame, services: Sequence[str]) -> None:
    """Note some lines of `events` (sorted by time) for each episode: those of its most telling stretches."""
    if not episodes:
        return
    time = events["time_us"].to_numpy()
    columns = {name: events[name].to_numpy() for name in ("template", "service", "level", "source", "line")}
    code = {name: i for i, name in enumerate(services)}
    for episode in episodes:
        for rank, one in enumerate(episode.stretches[:MOST_SUBJECTS]):
            first, last = (one.start - BEFORE, one.start) if one.member == "silence" else (one.start, one.end + 1)
            a, b = np.searchsorted(time, [first * US_PER_MINUTE, last * US_PER_MINUTE])
            at = a + np.flatnonzero(_is_of(one, columns, slice(a, b), code))
            at = at[-LINES_EACH:] if one.member == "silence" else at[:LINES_EACH]
            for i in at.tolist():
                line = (int(columns["source"][i]), int(columns["line"][i]))
                episode.lines.append((rank, int(time[i]), *line, int(columns["template"][i])))
                episode.levels[line] = int(columns["level"][i])
        if len(episode.lines) > MOST_LINES * MOST_SUBJECTS:
            episode.lines = _best(episode)


def _is_of(one: Stretch, columns: dict[str, np.ndarray], part: slice, code: dict[str, int]) -> Bool:
    """Return which events of a part of the time are counted in a stretch's series [x]."""
    if one.template >= 0:
        return np.asarray(columns["template"][part] == one.template)
    if one.kind in ("host", "entity") or one.service not in code:
        return np.zeros(part.stop - part.start, np.bool_)
    least = {"errors": LEVELS.index("ERROR"), "warnings": LEVELS.index("WARNING")}.get(one.kind, 0)
    return np.asarray((columns["service"][part] == code[one.service]) & (columns["level"][part] >= least))


def _best(episode: Episode) -> list[tuple[int, int, int, int, int]]:
    """Return the first few lines of each stretch, the most telling first; of a silence, the last ones."""
    kept: list[tuple[int, int, int, int, int]] = []
    for rank, one in enumerate(episode.stretches[:MOST_SUBJECTS]):
        lines = sorted({line for line in episode.lines if line[0] == rank}, key=lambda line: line[1:])
        kept += lines[-LINES_EACH:] if one.member == "silence" else lines[:LINES_EACH]
    return kept


def lines_of(episode: Episode) -> list[tuple[int, int, int]]:
    """Return ``source line template`` of the lines to show."""
    return list(dict.fromkeys((source, line, row) for _, _, source, line, row in _best(episode)))[:MOST_LINES]


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
    if one.template < 0:
        return one.name if one.kind != "entity" else ""  # the next attacker has another address
    return f"{int(templates.key[np.flatnonzero(templates.row == one.template)].min()):016x}"


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


def is_same(incident: Incident, episode: Incident) -> bool:
    """Return whether an incident of windows and one of the rates view are one thing.

    They are if several windows are odd in the same time and place, or if both name the same address or user.
    """
    if incident.start is None or incident.end is None or episode.start is None or episode.end is None:
        return False
    if incident.n_windows < LEAST_WINDOWS:
        return False  # a single odd request during a storm may be another matter
    both = min(incident.end, episode.end) - max(incident.start, episode.start)
    shorter = min(incident.end - incident.start, episode.end - episode.start)
    if both.total_seconds() < SHARED_TIME * shorter.total_seconds() or both.total_seconds() < 0:
        return False
    named = {reason.numbers.get("entity") for reason in episode.reasons} - {None}
    if named and incident.key.rsplit("@", 1)[0] in named:
        return True
    return bool(set(incident.services[:SHARED_SERVICES]) & set(episode.services[:SHARED_SERVICES]))


def together(incident: Incident, episode: Incident) -> Incident:
    """Return one incident of both: what is odd in its windows first, then how often it happens."""
    told = {(reason.kind, reason.numbers.get("entity")) for reason in incident.reasons}
    more = tuple(r for r in episode.reasons if r.kind != "concentration" or (r.kind, r.numbers["entity"]) not in told)
    reasons = incident.reasons[: MOST_REASONS // 2] + more + incident.reasons[MOST_REASONS // 2 :]
    return replace(
        incident,
        start=min(filter(None, (incident.start, episode.start))),
        end=max(filter(None, (incident.end, episode.end))),
        severity=max(incident.severity, episode.severity),
        services=tuple(dict.fromkeys((*incident.services, *episode.services)))[:10],
        hosts=tuple(dict.fromkeys((*incident.hosts, *episode.hosts)))[:10],
        reasons=reasons[:MOST_REASONS],
    )
