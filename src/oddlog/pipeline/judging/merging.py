"""From odd windows and odd lines to incidents."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl

from oddlog.explain import EXPECTED_SHARE, Oddity, Usual, concentration, reason
from oddlog.incidents import CRITICAL, MOST_NOVEL, WARNING, group, lasts, pattern_of, pressing
from oddlog.model import Model
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging.closeups import Closeups, Rereading
from oddlog.pipeline.judging.company import company_of
from oddlog.pipeline.judging.episodes import Episode, incident_of, is_part, together
from oddlog.pipeline.judging.odd import MOST_ODD, OddWindows, combination, patterns_of, told_of
from oddlog.pipeline.judging.telling import Remark, reason_of
from oddlog.pipeline.judging.writers import Writers
from oddlog.pipeline.rates import Judged
from oddlog.templates import Matcher
from oddlog.types import (
    F64,
    I64,
    OVERFLOW,
    U8,
    U32,
    Bool,
    Incident,
    LineRef,
    Reason,
    Urgency,
    Windows,
    to_datetime,
)

MOST_LINES_OF_TYPE = 1_000  # of each partition
MOST_KEYS = 100
MOST_PATTERNS = 100
MOST_LINES = 20
MOST_WINDOWS_SHOWN = 5
MOST_REASONS = 6
RARELY_THERE = 5  # how late it is told that something is missing which few usual windows have
TINY = 1e-300
_OF_TYPE = ("template", "level", "source", "line", "time_us", "service", "score", "p_value", "lines", "part")


@dataclass(frozen=True)
class _Found:
    """An incident before its lines are read."""

    incident: Incident
    refs: list[tuple[int, int, float]]  # source code, line, score
    order: tuple[float, float, int]
    episode: str = ""  # the name that whoever added it has given it


@dataclass
class Merging:
    """Collects what is odd, then merges it."""

    model: Model
    matcher: Matcher
    services: Codes
    sources: Codes
    words: Bool
    closeups: Closeups | None = None
    n_dropped: int = 0
    n_odd_lines: int = 0
    _odd: dict[str, list[OddWindows]] = field(default_factory=lambda: defaultdict(list))
    _lines: list[pl.DataFrame] = field(default_factory=list)
    _stretches: dict[str, dict[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)
    _episodes: list[_Found] = field(default_factory=list)
    episode_of: dict[str, str] = field(default_factory=dict)  # incident id -> name of the episode it tells of

    def add_windows(self, odd: OddWindows) -> None:
        """Take in the odd windows of a partition."""
        self.n_dropped += odd.n_dropped
        if not len(odd.windows):
            return
        parts = self._odd[odd.view.name]
        parts.append(odd)
        if sum(len(part.windows) for part in parts) > 2 * MOST_ODD:
            self._odd[odd.view.name] = [self._oddest(parts)]

    def _oddest(self, parts: list[OddWindows]) -> OddWindows:
        """Return the oddest `MOST_ODD` windows of all parts, in order of time."""
        every = OddWindows.concat(parts)
        order = pl.DataFrame({"score": -every.score, "start": every.windows.start, "key": every.windows.key})
        kept = order.select(pl.arg_sort_by("score", "start", "key").cast(pl.Int64)).to_series().to_numpy()[:MOST_ODD]
        self.n_dropped += len(every.score) - len(kept)
        return every.take(kept[order[kept].select(pl.arg_sort_by("start", "key")).to_series().to_numpy()])

    def add_lines(self, lines: pl.DataFrame, windows: Windows) -> pl.DataFrame:
        """Take in the verdicts of a partition's lines, return the odd ones that its odd `windows` do not tell of."""
        told = pl.DataFrame({"source": windows.source, "line": windows.line})
        odd = lines.filter("is_anomaly").join(told, on=["source", "line"], how="anti", maintain_order="left")
        self.n_odd_lines += len(odd)
        # Of a type that fills the log, some lines are enough to tell of it; no type is left out for another.
        some = odd.with_columns(lines=pl.len().over("template")).filter(
            pl.int_range(pl.len()).over("template") < MOST_LINES_OF_TYPE
        )
        if len(some):
            self._lines.append(some.with_columns(part=pl.lit(len(self._lines))))
        return odd

    def add_stretches(self, view: str, stretches: pl.DataFrame) -> None:
        """Take in how many lines of each type there were in each stretch of time, for concentration."""
        self._stretches[view] = {
            (start, template): (total, most)
            for start, template, total, most in stretches.select("start", "template", "total", "most").iter_rows()
        }

    def add_episodes(self, episodes: Sequence[Episode], judged: Judged, names: Sequence[str] = ()) -> None:
        """Take in what the rates view found; by their `names` they are known in `episode_of`."""
        templates = self.model.context.templates
        for i, episode in enumerate(episodes):
            incident = incident_of(episode, judged, templates, self.model.id)
            refs = [(one.source, one.line, self._line_score(one.template, one.level)) for one in episode.lines]
            order = (-incident.severity, -incident.score, episode.start)
            self._episodes.append(_Found(incident, refs, order, names[i] if names else ""))

    def _line_score(self, row: int, level: int) -> float:
        words = self.words[np.array([min(row, len(self.words) - 1)])]
        return float(self.model.events.score(np.array([row], np.uint32), np.array([level], np.uint8), words)[0])

    def incidents(self, reading: Rereading) -> list[Incident]:
        """Return the incidents, most pressing first."""
        found: list[_Found] = []
        told: set[int] = set()
        for parts in self._odd.values():
            found += self._of_windows(self._oddest(parts), told)
        found += self._of_lines(told)
        found = self._with_episodes(found)
        found.sort(key=lambda one: (one.incident.urgency == "notice", *one.order))
        return self._with_lines(found, reading)

    def _with_episodes(self, found: list[_Found]) -> list[_Found]:
        """Return the incidents with those of the rates view: told with that of the windows where both are one thing."""
        merged: list[_Found] = []
        for episode in sorted(self._episodes, key=lambda one: one.order):
            parts = [one for one in found if is_part(one.incident, episode.incident)]
            taken = {id(one) for one in parts}
            found = [one for one in found if id(one) not in taken]
            parts.sort(key=lambda one: one.order)
            refs = [ref for one in parts for ref in one.refs[: MOST_LINES // 4 // len(parts) or 1]]
            lasting = any(one.incident.urgency == "alert" for one in parts)
            refs = [*refs, *episode.refs] if lasting else [*episode.refs, *refs[: MOST_LINES // 8 or 1]]
            refs = list(dict.fromkeys(refs))[:MOST_LINES]
            incident = together([one.incident for one in parts], episode.incident)
            order = parts[0].order[1:] if parts else episode.order[1:]
            merged.append(_Found(incident, refs, (-incident.severity, *order)))
            self.episode_of[incident.id] = episode.episode
        return found + merged

    def _of_windows(self, odd: OddWindows, told: set[int]) -> list[_Found]:
        """Return the incidents of one view; templates they lead with are added to `told`."""
        patterns = patterns_of(self.matcher, odd)
        severity = self._severity(odd)
        told.update(o.template for one in odd.lead for o in one if o.seen)
        incident = group(patterns, [[f"{kind}:{row}" for kind, row in one] for one in odd.signs], odd.windows.start)
        members = [np.flatnonzero(incident == i) for i in range(int(incident.max(initial=-1)) + 1)]
        by_rank = [
            index[np.lexsort((odd.windows.start[index], -odd.score[index], -severity[index]))] for index in members
        ]
        p_value, remarks = told_of(odd.view, odd.windows.take(np.array([index[0] for index in by_rank], np.int64)))
        return [
            self._one(odd, index, patterns, severity, {name: float(p[i]) for name, p in p_value.items()}, remarks[i])
            for i, index in enumerate(by_rank)
        ]

    def _severity(self, odd: OddWindows) -> F64:
        windows = odd.windows
        level = np.full(len(windows), 3, np.uint8)  # INFO
        words = np.zeros(len(windows), np.bool_)
        for i, (start, end) in enumerate(pairwise(windows.offsets.tolist())):
            events = start + np.flatnonzero(odd.guilty[start:end])
            if len(events):
                level[i] = windows.level[events].max(initial=0)
                words[i] = self.words[np.minimum(windows.template[events], len(self.words) - 1)].any()
        return pressing(-np.log10(np.maximum(odd.p_value, TINY)), level, words)

    def _urgency(self, time_us: I64, level: U8, template: U32) -> Urgency:
        """Return how urgent things at these times [x] are, odd by lines [y] of these levels and types."""
        if level.max(initial=0) >= CRITICAL:
            return "alert"
        grave = level.max(initial=0) >= WARNING or self.words[np.minimum(template, len(self.words) - 1)].any()
        return "alert" if lasts(time_us) and (grave or self.model.rates is None) else "notice"

    def _one(
        self,
        odd: OddWindows,
        by_rank: I64,
        patterns: list[str],
        severity: F64,
        member_p: dict[str, float],
        remarks: list[Remark],
    ) -> _Found:
        """Return the incident of windows, the most pressing first; what the members make of that one is given."""
        windows, score = odd.windows, odd.score
        top = int(by_rank[0])
        index = np.sort(by_rank)
        by_time = index[np.argsort(windows.start[index], kind="stable")]
        one = windows.take(index)
        refs = self._refs(odd, by_rank[:MOST_WINDOWS_SHOWN])
        first = (int(windows.source[windows.offsets[top]]), int(windows.line[windows.offsets[top]]))
        keys = windows.key.gather(by_time[:MOST_KEYS]).to_list()
        guilty = {o.template for i in by_rank[:MOST_WINDOWS_SHOWN] for o in odd.lead[i] if o.seen}
        is_guilty = np.isin(one.template, list(guilty)) if guilty else np.ones(len(one.template), np.bool_)
        named = [name for name, _ in Counter(patterns[i] for i in by_time).most_common(MOST_PATTERNS)]
        # That a thing happens again adds to its novelty, by the order of magnitude.
        pressing_ = float(severity[top]) * (1 + np.log10(is_guilty.sum()) / MOST_NOVEL)
        incident = Incident(
            id=self._id(windows.key[top], first),
            key=windows.key[top],
            keys=tuple(keys),
            n_windows=len(index),
            start=to_datetime(int(one.start.min())),
            end=to_datetime(int(one.end.max())),
            severity=pressing_,
            score=float(score[top]),
            p_value=float(odd.p_value[top]),
            pattern=named[0],
            patterns=tuple(named),
            new_types=self._new_types(o.template for o in odd.lead[top]),
            company=company_of(odd.view, self.matcher, one),
            services=self._ranked(one.service[is_guilty]),
            reasons=tuple(self._reasons(odd, top, remarks, one)),
            hosts=(),
            lines=(),
            urgency=self._urgency(one.start, one.level[is_guilty], one.template[is_guilty]),
            members={name: p_value for name, p_value in member_p.items() if not np.isnan(p_value)},
        )
        order = (-pressing_, -float(score[top]), int(one.start.min()))
        if self.closeups is not None:
            window = windows.take(np.array([top]))
            view = odd.view
            lead = Writers.of(self.model, view, windows, top, self.services.names).oddities(odd.lead[top])
            self.closeups.add_window(incident.id, order, window, lead, view.usual, view.cut.noun, one.start)
        return _Found(incident, refs, order)

    def _reasons(self, odd: OddWindows, top: int, remarks: list[Remark], every: Windows) -> list[Reason]:
        """Return why the window `top` is odd, what says most first; `every` is all windows of the incident.

        By its counts, then by what members that read more remark on it; what is missing that few usual windows have
        comes last, for usual ones lack it too.
        """
        view, windows = odd.view, odd.windows
        writers = Writers.of(self.model, view, windows, top, self.services.names)
        late = {id(one): self._said_late(one, view.usual) for one in odd.lead[top]}
        lead = sorted(writers.oddities(odd.lead[top]), key=lambda one: late[id(one)])
        told = [(late[id(o)] == RARELY_THERE, self._reason(o, view.usual, view.cut.noun, every)) for o in lead]
        if view.name == "entities":
            name = windows.key[top].rsplit("@", 1)[0].rsplit("#", 1)[0]
            found = self._concentrations(view.usual, name, int(windows.start[top]), view.name, lead)
            told = [*((False, one) for one in found), *told]
        said = [reason_of(one, self.model.context, self.matcher.text_of) for one in writers.remarks(remarks)]
        told = told[: MOST_REASONS - len(said)]
        first, last = ([one for is_last, one in told if is_last == asked] for asked in (False, True))
        return [*first, *said, *last] or combination(
            view, windows.take(np.array([top])), self.model.context, self.matcher.text_of, writers.remarks
        )

    def _reason(self, one: Oddity, usual: Usual, noun: str, every: Windows) -> Reason:
        """Return the reason for an oddity; what is new is counted in all windows of the incident."""
        in_all = None
        if one.kind == "unseen_template" and len(every) > 1:
            at = np.flatnonzero(every.template == one.template)
            columns = (every.source, every.line, every.window_of_event)
            times = Counter(zip(*(column[at].tolist() for column in columns), strict=True))  # more where it repeats
            lines = {(source, line): n for (source, line, _), n in times.items()}  # one may stand in several windows
            in_all = (sum(lines.values()), len(np.unique(every.window_of_event[at])))
        return reason(one, usual, self.matcher.text_of(one.template), noun, in_all)

    def _said_late(self, one: Oddity, usual: Usual) -> int:
        """Return how late among the reasons of its window an oddity is told.

        What was never seen comes first, of this and of the rest what is grave by its level or its words; then what
        else is there too often, or is missing though most usual windows have it; `RARELY_THERE` at the end.
        """
        known = self.model.context.templates
        level = int(known.level[one.template]) if one.template < len(known) else 0
        grave = level >= WARNING or bool(self.words[min(one.template, len(self.words) - 1)])
        if one.kind == "missing_event":
            return RARELY_THERE - int(usual.share[one.template] >= EXPECTED_SHARE)
        return (0 if grave else 1) if one.kind == "unseen_template" else 2 if grave else 3

    def _concentrations(self, usual: Usual, name: str, start: int, view: str, lead: list[Oddity]) -> list[Reason]:
        found = []
        for o in lead:
            if o.seen and o.template < len(usual.concentration):
                total, _ = self._stretches.get(view, {}).get((start, o.template), (0, 0))
                share = float(usual.concentration[o.template])
                found.append(concentration(name, self.matcher.text_of(o.template), int(o.seen), total, share))
        return [one for one in found if one is not None]

    def _refs(self, odd: OddWindows, index: I64) -> list[tuple[int, int, float]]:
        """Return the lines to show: those that make the windows at `index` odd, else a window's first ones."""
        refs: list[tuple[int, int, float]] = []
        windows = odd.windows
        each = max(MOST_LINES // max(len(index), 1), 1)
        for i in index.tolist():
            events = np.arange(windows.offsets[i], windows.offsets[i + 1])
            guilty = events[odd.guilty[events]]
            shown = (guilty if len(guilty) else events)[:each]
            score = self.model.events.score(
                windows.template[shown],
                windows.level[shown],
                self.words[windows.template[shown].clip(max=len(self.words) - 1)],
            )
            refs += zip(windows.source[shown].tolist(), windows.line[shown].tolist(), score.tolist(), strict=True)
        return list(dict.fromkeys(refs))[:MOST_LINES]

    def _of_lines(self, told: set[int]) -> list[_Found]:
        """Return the incidents of lines that are odd by themselves, one for each type that no window leads with."""
        if not self._lines:
            return []
        lines = pl.concat(self._lines).filter(~pl.col("template").is_in(list(told))).sort("time_us", "source", "line")
        columns = {name: lines[name].to_numpy() for name in _OF_TYPE}
        # One call of Polars for each of thousands of new types would take seconds: their lines are cut out of arrays.
        template = columns["template"]
        order = np.argsort(template, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(template[order])) + 1) if len(order) else []
        parts.sort(key=lambda part: int(part[0]))
        total = int(self.model.events.count.sum())
        return [self._of_type({name: column[part] for name, column in columns.items()}, total) for part in parts]

    def _of_type(self, lines: dict[str, np.ndarray], total: int) -> _Found:
        """Return the incident of the `lines` [x] of one type, in order of time; `total` were learned from."""
        template = int(lines["template"][0])
        key, text = self.matcher.key_of(template), self.matcher.text_of(template)
        pattern = pattern_of([key])
        time_us, score = lines["time_us"], lines["score"]
        count = self.model.events.count
        seen = int(count[template]) if template < len(count) else 0
        first_of_part = np.unique(lines["part"], return_index=True)[1] if len(time_us) > 1 else [0]
        n = int(lines["lines"][first_of_part].sum())
        top = np.argsort(-score, kind="stable")[:MOST_LINES]
        source, line = lines["source"].tolist(), lines["line"].tolist()
        severity = float(score[top[0]])
        incident = Incident(
            id=self._id(f"{key:016x}", (source[0], line[0])),
            key=f"{self.sources.names[source[0]]}:{line[0]}",
            keys=(),
            n_windows=0,
            start=to_datetime(int(time_us[0])),
            end=to_datetime(int(time_us[-1])),
            severity=severity,
            score=severity,
            p_value=float(lines["p_value"][top[0]]),
            pattern=pattern,
            patterns=(pattern,),
            new_types=self._new_types([template]),
            services=self._ranked(lines["service"]),
            reasons=(self._rarity(template, text, n, seen, total),),
            hosts=(),
            lines=(),
            urgency=self._urgency(time_us, lines["level"], lines["template"]),
        )
        refs = [(source[i], line[i], float(score[i])) for i in top.tolist()]
        order = (-severity, -severity, int(time_us[0]))
        if self.closeups is not None:
            self.closeups.add_lines(incident.id, order, lines["source"], lines["line"], time_us)
        return _Found(incident, refs, order)

    def _rarity(self, template: int, text: str, n: int, seen: int, total: int) -> Reason:
        """Return why `n` lines of a type are odd that was `seen` so often among `total` lines of training."""
        if not seen:
            oddity = Oddity(template, "unseen_template", n, 0, 0.0)
            return reason(oddity, self.model.views[0].usual, text, "")
        said = f"rare: “{text}” ({n:,} line{'' if n == 1 else 's'}; {seen:,} of {total:,} in training)"
        return Reason("rare_template", said, {"seen": n, "trained": seen, "trained_lines": total})

    def _ranked(self, codes: np.ndarray) -> tuple[str, ...]:
        """Return the services [x], most lines first."""
        names, n = (codes, np.ones(1)) if len(codes) == 1 else np.unique(codes, return_counts=True)
        ranked = [self.services.names[int(c)] for c in names[np.argsort(-n, kind="stable")][:10]]
        return tuple(name for name in ranked if name)

    def _new_types(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the keys of the types never seen in training among `rows`."""
        k = len(self.model.context.templates)
        return tuple(f"{self.matcher.key_of(row):016x}" for row in rows if k <= row != OVERFLOW)

    def _id(self, key: str, position: tuple[int, int]) -> str:
        source = self.sources.names[position[0]]
        said = f"{self.model.id}\n{key}\n{source}\n{position[1]}"
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def _with_lines(self, found: list[_Found], reading: Rereading) -> list[Incident]:
        wanted: dict[str, set[int]] = defaultdict(set)
        for one in found:
            for source, line, _ in one.refs:
                wanted[self.sources.names[source]].add(line)
        texts = {
            (source, line): (text, host, message)
            for source, line, text, host, message in reading.again(wanted).iter_rows()
        }
        return [self._incident(one, texts) for one in found]

    def _incident(self, one: _Found, texts: dict[tuple[str, int], tuple[str, str | None, str]]) -> Incident:
        lines, hosts = [], Counter[str]()
        for code, line, score in one.refs:
            source = self.sources.names[code]
            text, host, message = texts.get((source, line), ("", None, ""))
            lines.append(LineRef(source, line, text, score, message))
            if host:
                hosts[host] += 1
        # A host that is odd by its counts, one that is silent for instance, may have written none of the lines.
        ranked = dict.fromkeys([*one.incident.hosts, *(host for host, _ in hosts.most_common(10))])
        return replace(one.incident, hosts=tuple(ranked)[:10], lines=tuple(lines))
