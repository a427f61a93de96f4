"""From odd windows and odd lines to incidents."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from oddlog.explain import Oddity, Usual, concentration, leading, reason
from oddlog.incidents import MOST_NOVEL, group, pattern_of, pressing
from oddlog.model import Model
from oddlog.pipeline.closeups import Closeups
from oddlog.pipeline.events import Codes
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.views import View
from oddlog.templates import Matcher
from oddlog.types import F64, OVERFLOW, Bool, Incident, LineRef, Reason, Windows, to_datetime

MOST_ODD = 20_000  # windows of a view that are explained and merged, the oddest
MOST_LINES_OF_TYPE = 1_000  # of each partition
MOST_KEYS = 100
MOST_PATTERNS = 100
MOST_LINES = 20
MOST_WINDOWS_SHOWN = 5
MOST_REASONS = 6
TINY = 1e-300


@dataclass(frozen=True)
class OddWindows:
    """The odd windows of a view with what makes them odd."""

    view: View
    windows: Windows
    score: F64
    p_value: F64
    oddities: list[list[Oddity]]
    n_dropped: int = 0

    @classmethod
    def of(cls, view: View, windows: Windows, verdict: pl.DataFrame) -> OddWindows:
        """Return the odd ones among `windows` [w], given their verdicts."""
        index = np.flatnonzero(verdict["is_anomaly"].to_numpy())
        score = verdict["score"].to_numpy()
        dropped = max(len(index) - MOST_ODD, 0)
        if dropped:
            index = np.sort(index[np.argsort(-score[index], kind="stable")[:MOST_ODD]])
        odd = windows.take(index)
        return cls(
            view,
            odd,
            score[index],
            verdict["p_value"].to_numpy()[index],
            view.oddities(odd),
            dropped,
        )

    def lines(self) -> pl.DataFrame:
        """Return ``source line window_score window_p window_reason`` of the events that make a window odd."""
        guilty = pl.DataFrame(
            [(w, o.template, o.kind) for w, found in enumerate(self.oddities) for o in leading(found) if o.seen],
            schema={"window": pl.Int64, "template": pl.UInt32, "kind": pl.String},
            orient="row",
        ).unique(["window", "template"], keep="last", maintain_order=True)
        events = pl.DataFrame(
            {
                "window": self.windows.window_of_event,
                "template": self.windows.template,
                "source": self.windows.source,
                "line": self.windows.line,
            }
        )
        windows = pl.DataFrame({"window_score": self.score, "window_p": self.p_value, "key": self.windows.key})
        frame = (
            events.join(guilty, on=["window", "template"], how="inner", maintain_order="left")
            .join(windows.with_row_index("window").cast({"window": pl.Int64}), on="window", maintain_order="left")
            .select(
                "source",
                "line",
                "window_score",
                "window_p",
                window_reason=pl.col("kind") + " in " + pl.col("key"),
            )
        )
        return frame.sort("window_score", descending=True).unique(["source", "line"], keep="first", maintain_order=True)


@dataclass(frozen=True)
class _Found:
    """An incident before its lines are read."""

    incident: Incident
    refs: list[tuple[int, int, float]]  # source code, line, score
    order: tuple[float, float, int]


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
        windows = Windows.concat([part.windows for part in parts])
        score, p_value = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "p_value"))
        found = [one for part in parts for one in part.oddities]
        order = pl.DataFrame({"score": -score, "start": windows.start, "key": windows.key})
        kept = order.select(pl.arg_sort_by("score", "start", "key").cast(pl.Int64)).to_series().to_numpy()[:MOST_ODD]
        self.n_dropped += len(score) - len(kept)
        kept = kept[order[kept].select(pl.arg_sort_by("start", "key")).to_series().to_numpy()]
        return OddWindows(parts[0].view, windows.take(kept), score[kept], p_value[kept], [found[i] for i in kept])

    def add_lines(self, lines: pl.DataFrame, windows: Windows) -> None:
        """Take in the verdicts of a partition's lines; those of its odd `windows` are told with these."""
        told = pl.DataFrame({"source": windows.source, "line": windows.line})
        odd = lines.filter("is_anomaly").join(told, on=["source", "line"], how="anti", maintain_order="left")
        self.n_odd_lines += len(odd)
        # Of a type that fills the log, some lines are enough to tell of it; no type is left out for another.
        odd = odd.with_columns(lines=pl.len().over("template")).filter(
            pl.int_range(pl.len()).over("template") < MOST_LINES_OF_TYPE
        )
        if len(odd):
            self._lines.append(odd.with_columns(part=pl.lit(len(self._lines))))

    def add_stretches(self, view: str, stretches: pl.DataFrame) -> None:
        """Take in how many lines of each type there were in each stretch of time, for concentration."""
        self._stretches[view] = {
            (start, template): (total, most)
            for start, template, total, most in stretches.select("start", "template", "total", "most").iter_rows()
        }

    def incidents(self, reading: Reading) -> list[Incident]:
        """Return the incidents, most pressing first."""
        found: list[_Found] = []
        told: set[int] = set()
        for parts in self._odd.values():
            found += self._of_windows([self._oddest(parts)], told)
        found += self._of_lines(told)
        found.sort(key=lambda one: one.order)
        return self._with_lines(found, reading)

    def _of_windows(self, parts: Sequence[OddWindows], told: set[int]) -> list[_Found]:
        """Return the incidents of one view; templates they lead with are added to `told`."""
        view = parts[0].view
        windows = Windows.concat([part.windows for part in parts])
        score = np.concatenate([part.score for part in parts])
        p_value = np.concatenate([part.p_value for part in parts])
        lead = [leading(found) for part in parts for found in part.oddities]
        patterns = patterns_of(self.matcher, view, windows, lead)
        shared = [[f"{o.kind}:{o.template}" for o in one] for one in lead]
        severity = self._severity(windows, p_value, lead)
        told.update(o.template for one in lead for o in one if o.seen)
        incident = group(patterns, shared, windows.start)
        return [
            self._one(view, windows, np.flatnonzero(incident == i), lead, patterns, score, p_value, severity)
            for i in range(int(incident.max(initial=-1)) + 1)
        ]

    def _severity(self, windows: Windows, p_value: F64, lead: list[list[Oddity]]) -> F64:
        level = np.full(len(windows), 3, np.uint8)  # INFO
        words = np.zeros(len(windows), np.bool_)
        for i, one in enumerate(lead):
            there = [o.template for o in one if o.seen]
            if there:
                events = slice(windows.offsets[i], windows.offsets[i + 1])
                level[i] = windows.level[events][np.isin(windows.template[events], there)].max(initial=0)
                words[i] = self.words[np.minimum(there, len(self.words) - 1)].any()
        return pressing(-np.log10(np.maximum(p_value, TINY)), level, words)

    def _one(
        self,
        view: View,
        windows: Windows,
        index: np.ndarray,
        lead: list[list[Oddity]],
        patterns: list[str],
        score: F64,
        p_value: F64,
        severity: F64,
    ) -> _Found:
        """Return the incident of the windows at `index`."""
        by_rank = index[np.lexsort((windows.start[index], -score[index], -severity[index]))]
        top = int(by_rank[0])
        by_time = index[np.argsort(windows.start[index], kind="stable")]
        one = windows.take(index)
        refs = self._refs(windows, by_rank[:MOST_WINDOWS_SHOWN], lead)
        first = (int(windows.source[windows.offsets[top]]), int(windows.line[windows.offsets[top]]))
        keys = windows.key.gather(by_time[:MOST_KEYS]).to_list()
        guilty = {o.template for i in by_rank[:MOST_WINDOWS_SHOWN] for o in lead[i] if o.seen}
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
            p_value=float(p_value[top]),
            pattern=named[0],
            patterns=tuple(named),
            new_types=self._new_types(o.template for o in lead[top]),
            services=self._ranked(one.service[is_guilty]),
            reasons=tuple(self._reasons(view, windows, top, lead[top])),
            hosts=(),
            lines=(),
        )
        order = (-pressing_, -float(score[top]), int(one.start.min()))
        if self.closeups is not None:
            window = windows.take(np.array([top]))
            self.closeups.add_window(incident.id, order, window, lead[top], view.usual, view.cut.noun, one.start)
        return _Found(incident, refs, order)

    def _reasons(self, view: View, windows: Windows, top: int, lead: list[Oddity]) -> Iterable[Reason]:
        reasons = [reason(o, view.usual, self.matcher.text_of(o.template), view.cut.noun) for o in lead]
        if view.name == "entities":
            name = windows.key[top].rsplit("@", 1)[0].rsplit("#", 1)[0]
            reasons = self._concentrations(view.usual, name, int(windows.start[top]), view.name, lead) + reasons
        return reasons[:MOST_REASONS] or [
            Reason("combination", "no single type stands out: their combination does", {"types": 0})
        ]

    def _concentrations(self, usual: Usual, name: str, start: int, view: str, lead: list[Oddity]) -> list[Reason]:
        found = []
        for o in lead:
            if o.seen and o.template < len(usual.concentration):
                total, _ = self._stretches.get(view, {}).get((start, o.template), (0, 0))
                share = float(usual.concentration[o.template])
                found.append(concentration(name, self.matcher.text_of(o.template), int(o.seen), total, share))
        return [one for one in found if one is not None]

    def _refs(self, windows: Windows, index: np.ndarray, lead: list[list[Oddity]]) -> list[tuple[int, int, float]]:
        """Return the lines to show: those of the odd types, else a window's first ones."""
        refs: list[tuple[int, int, float]] = []
        each = max(MOST_LINES // max(len(index), 1), 1)
        for i in index.tolist():
            events = np.arange(windows.offsets[i], windows.offsets[i + 1])
            odd = events[np.isin(windows.template[events], [o.template for o in lead[i] if o.seen])]
            shown = (odd if len(odd) else events)[:each]
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
        lines = pl.concat(self._lines).filter(~pl.col("template").is_in(list(told)))
        return [
            self._of_type(int(template), part)
            for (template,), part in lines.sort("time_us", "source", "line").group_by("template", maintain_order=True)
        ]

    def _of_type(self, template: int, lines: pl.DataFrame) -> _Found:
        key = self.matcher.key_of(template)
        first = lines.row(0, named=True)
        count = self.model.events.count
        n = int(lines.unique("part")["lines"].sum())
        text = self.matcher.text_of(template)
        seen = int(count[template]) if template < len(count) else 0
        oddity = Oddity(template, "unseen_template", n, 0, 0.0)
        told = (
            reason(oddity, self.model.views[0].usual, text, "")
            if seen == 0
            else Reason(
                "rare_template",
                f"rare: “{text}” ({n:,} line{'' if n == 1 else 's'}; {seen:,} of {count.sum():,} in training)",
                {"seen": n, "trained": seen, "trained_lines": int(count.sum())},
            )
        )
        top = lines.sort("score", descending=True, maintain_order=True).head(MOST_LINES)
        severity = float(top["score"][0])
        incident = Incident(
            id=self._id(f"{key:016x}", (first["source"], first["line"])),
            key=f"{self.sources.names[first['source']]}:{first['line']}",
            keys=(),
            n_windows=0,
            start=to_datetime(first["time_us"]),
            end=to_datetime(lines["time_us"][-1]),
            severity=severity,
            score=severity,
            p_value=float(top["p_value"][0]),
            pattern=pattern_of([key]),
            patterns=(pattern_of([key]),),
            new_types=self._new_types([template]),
            services=self._ranked(lines["service"].to_numpy()),
            reasons=(told,),
            hosts=(),
            lines=(),
        )
        refs = list(top.select("source", "line", "score").iter_rows())
        order = (-severity, -severity, first["time_us"])
        if self.closeups is not None:
            self.closeups.add_lines(incident.id, order, lines)
        return _Found(incident, refs, order)

    def _ranked(self, codes: np.ndarray) -> tuple[str, ...]:
        """Return the services [x], most lines first."""
        names, n = np.unique(codes, return_counts=True)
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

    def _with_lines(self, found: list[_Found], reading: Reading) -> list[Incident]:
        wanted: dict[str, set[int]] = defaultdict(set)
        for one in found:
            for source, line, _ in one.refs:
                wanted[self.sources.names[source]].add(line)
        texts = {
            (source, line): (text, host)
            for source, line, text, host in reading.again(wanted).select("source", "line", "text", "host").iter_rows()
        }
        return [self._incident(one, texts) for one in found]

    def _incident(self, one: _Found, texts: dict[tuple[str, int], tuple[str, str | None]]) -> Incident:
        lines, hosts = [], Counter[str]()
        for code, line, score in one.refs:
            source = self.sources.names[code]
            text, host = texts.get((source, line), ("", None))
            lines.append(LineRef(source, line, text, score))
            if host:
                hosts[host] += 1
        ranked = tuple(host for host, _ in hosts.most_common(10))
        return replace(one.incident, hosts=ranked, lines=tuple(lines))


def patterns_of(matcher: Matcher, view: View, windows: Windows, lead: Sequence[Sequence[Oddity]]) -> list[str]:
    """Return each window's pattern [w]: all types of a session, the odd types (`lead`) of another window."""
    if view.cut.by != "session":
        return [pattern_of(matcher.key_of(o.template) for o in one) for one in lead]
    key = {row: matcher.key_of(row) for row in np.unique(windows.template).tolist()}
    return [
        pattern_of(key[row] for row in np.unique(windows.template[a:b]).tolist())
        for a, b in zip(windows.offsets[:-1], windows.offsets[1:], strict=True)
    ]
