"""From what was collected to a model: each view, the lines, the rates, one number of false alarms for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from oddlog.detectors import takes
from oddlog.errors import ConfigError, TooLittleDataError
from oddlog.explain import usual_concentration
from oddlog.model import Model
from oddlog.pipeline.cutting import cut_windows, partitions
from oddlog.pipeline.events import EventStore
from oddlog.pipeline.judging.lines import learn_event_view
from oddlog.pipeline.judging.views import USUAL_RATE, Cut
from oddlog.pipeline.learning.collecting import FOLDS, Collected, folds
from oddlog.pipeline.learning.gathering import Answered, Gathering, Rows, with_closing
from oddlog.pipeline.learning.labels import Labels
from oddlog.pipeline.learning.members import reads_counts, reads_of
from oddlog.pipeline.learning.memory import MOST_TIMES, Begun, Memory, ViewMemory
from oddlog.pipeline.learning.remembering import PART as COUNTS
from oddlog.pipeline.learning.remembering import SHARES, recalled_shares, remembered, remembered_shares
from oddlog.pipeline.learning.view import Learned, Options, Recurring, Trained, learn_view
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.pipeline.rates import ALARMS_A_DAY, RatesView, learn_rates
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.shares import SharesLearning
from oddlog.rates import rate_of
from oddlog.thresholds import DEFAULT_WAY, Way
from oddlog.types import F64, NO_TIME, OVERFLOW, Context, State, to_datetime

READ_A_DAY = 5.0  # false alarms, at most, where no number is asked for: what a person reads
US_PER_DAY = 86_400_000_000

Say = Callable[[str, int], None]


@dataclass
class Fitting:
    """What the views of one fit share.

    Attributes
    ----------
    older : Model or None
        What is learned on from, with its `memory`.
    options : mapping
        By detector, what goes to its constructor.
    checkpoints : str
        Folder that training leaves its checkpoints in, if any.
    way : Way
        How thresholds of windows are found.
    answered : mapping
        By view, what labels its windows by what people have said.
    trained : mapping
        By name, members of the first view that were trained elsewhere; no other view has them.
    leading : tuple of str
        Those of them that make the first view's verdict, and `names` are its candidates; none if empty.

    """

    collected: Collected
    context: Context
    names: tuple[str, ...]
    candidates: tuple[str, ...]
    alarms: float | None
    labels: Labels | None
    recurring: Recurring
    say: Say
    older: Model | None = None
    memory: Memory | None = None
    options: Options = field(default_factory=dict)
    checkpoints: str = ""
    way: Way = DEFAULT_WAY
    answered: Mapping[str, Answered] = field(default_factory=dict)
    trained: Trained = field(default_factory=dict)
    leading: tuple[str, ...] = ()
    matched: int = 0
    matched_anomalous: int = 0
    example: str = ""
    remembered: dict[str, ViewMemory] = field(default_factory=dict)
    finished: float = 0  # windows of the first view
    watches_shares: bool = False
    shares: SharesLearning | None = None

    @classmethod
    def again(cls, collected: Collected, context: Context, older: Model, memory: Memory, say: Say) -> Fitting:
        """Return a fit with the options of an older one, of what that remembers and what was collected."""
        names, candidates = (tuple(memory.options[name]) for name in ("names", "candidates"))
        recurring: Recurring = memory.options["recurring"]
        options: Options = memory.options.get("options", {})
        way = Way.parse(memory.options.get("threshold", "pot"))
        return cls(collected, context, names, candidates, None, None, recurring, say, older, memory, options, way=way)

    def __post_init__(self) -> None:
        self.edges = self.collected.fold_edges()
        self.by_type = pl.DataFrame(schema={"template": pl.UInt32, "level": pl.UInt8, "fold": pl.Int64, "n": pl.Int64})
        if self.memory is not None:
            self.by_type = self.memory.by_type_in(folds(self.memory.times_again(FOLDS), self.edges))
        templates = self.context.templates

        def rows_of(keys: pl.Series) -> pl.Series:
            rows = templates.rows_of(keys.to_numpy())
            return pl.Series("template", np.where(rows < 0, OVERFLOW, rows).astype(np.uint32))

        self.rows_of: Rows = rows_of

    def model(self, reading: Reading, check: Callable[[], None] = lambda: None) -> Model:
        """Return the model; what was read and how is told by the caller.

        `check` is called once all windows are known, before anything is made of too few of them.

        Raises
        ------
        TooLittleDataError
            If no view can be learned.

        """
        collected = self.collected
        rates_view, rates_facts = self.rates()
        before = None if self.older is None else self.older.rates
        # Shares are learned on from their counts; a model of before they were remembered keeps those it has.
        self.watches_shares = rates_view is not None and (self.older is None or SHARES in self.older.memory)
        learned = {
            name: self.view(name, cut, store)
            for (name, cut), store in zip(collected.plan, collected.stores, strict=True)
        }
        check()
        events = learn_event_view(self.by_type, self.context.templates.text, self.rate_of_lines())
        views = tuple(one.view for one in learned.values() if one.view is not None)
        if not views:
            raise _too_little(learned)
        training: dict[str, Any] = {
            "lines": reading.lines,
            "records": collected.records,
            "start": _iso(collected.start_us),
            "end": _iso(collected.end_us),
            "views": {name: one.facts for name, one in learned.items()},
            "tally": {"counts": dict(reading.tally.counts), "examples": reading.tally.examples},
            "notes": [],
            "rates": rates_facts,
        }
        options = {
            "names": self.names,
            "candidates": self.candidates,
            "recurring": self.recurring,
            "options": self.options,
            "threshold": str(self.way),
        }
        if rates_view is not None and self.shares is not None:
            rates_view = replace(
                rates_view, shares=self.shares.learned(collected.hosts.names, rate_of(self.rates_alarms))
            )
        elif rates_view is not None and before is not None:
            rates_view = replace(rates_view, shares=before.shares)
        kept = {view.name: self.remembered[view.name] for view in views}
        memory = Memory(kept, self.by_type, collected.quantiles(MOST_TIMES), options)
        states = memory.states() | self._counts(rates_view)
        return Model(self.context, views, events, {}, training, rates=rates_view, memory=states)

    def _counts(self, rates: RatesView | None) -> dict[str, State]:
        """Return the counts that are remembered."""
        if rates is None or self.collected.counting is None:
            return {}
        parts = {COUNTS: remembered(self.collected.counting)}
        return parts | ({} if self.shares is None else {SHARES: remembered_shares(self.shares.counting)})

    def view(self, name: str, cut: Cut, store: EventStore) -> Learned:
        """Return the learned view; the first one also counts lines for `learn_event_view`."""
        k = len(self.context.templates)
        cut, gathering, begun = self.gathering(name, cut, store)
        gathered = gathering.gathered()
        self.remembered[name] = ViewMemory.of(gathered, begun, k)
        self.finished = self.finished or gathered.n_windows
        self.matched += gathering.matched
        self.matched_anomalous += int((gathered.label == 1).sum())
        self.example = self.example or gathering.example
        shares = None if gathering.stretches is None else usual_concentration(gathering.stretches, k)
        alarms = READ_A_DAY if self.alarms is None and self.way.kind == "budget" else self.alarms
        rate = self._rate(gathered.n_windows, alarms)
        if self.older is not None:
            old = next(view for view in self.older.views if view.name == name)
            shares, rate = _widest(shares, old.usual.concentration, k), old.rate
        voting, tried = self._voting(name)
        named = (voting, rate, self.recurring, shares, self.say, tried, self._options_of(name))
        trained = self.trained if self._is_first(name) else {}
        return learn_view(name, cut, gathered, self.context, *named, self.way, trained)

    def gathering(self, name: str, cut: Cut, store: EventStore) -> tuple[Cut, Gathering, Begun | None]:
        """Return how windows are cut, sessions with when they are over and how these began, and the windows."""
        tally, k = self.collected.tally, len(self.context.templates)
        span_us = (self.collected.start_us, self.collected.end_us)
        self.say(f"cutting {cut.noun}", store.rows)
        before = None if self.memory is None else self.memory.views[name]
        begun: Begun | None = None
        if cut.by == "session":
            cut, begun = with_closing(store, cut, self.rows_of, span_us, None if before is None else before.begun)
        first = self._is_first(name)
        whole = None if all(map(reads_counts, (*self.names, *self._candidates(name)))) else WholeWindows()
        gathering = Gathering(cut, k, self.edges, self.labels, by_entity=name == "entities", whole=whole)
        gathering.answered = self.answered.get(name)
        if before is not None:
            gathering.recall(before)
        if first and self.watches_shares:
            self.shares = self._shares_learning(store, cut, span_us)
        for events in partitions(store, self.rows_of):
            windows = cut_windows(events, cut, tally, span_us)
            if first:
                self._count_lines(events, k)
                if self.shares is not None:
                    self.shares.add(events, windows)
            gathering.add(windows)
        return cut, gathering, begun

    def _shares_learning(self, store: EventStore, cut: Cut, span_us: tuple[int, int]) -> SharesLearning:
        tally = self.collected.tally
        older = None if self.older is None or self.older.rates is None else self.older.rates.shares
        if self.older is None or older is None:
            return SharesLearning(store, cut, self.rows_of, span_us, self.context, tally)
        k = len(self.context.templates)
        counting = recalled_shares(self.older.memory[SHARES], older.bounds, k, tally)
        return SharesLearning.again(counting, older.bounds, cut)

    def _voting(self, view: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return who votes in a view, and who is tried."""
        tried = self._candidates(view)
        if not (self.leading and self._is_first(view)):
            return self.names, tried
        return self.leading, tuple(name for name in (*self.names, *tried) if name not in self.leading)

    def _candidates(self, view: str) -> tuple[str, ...]:
        """Return who is tried on a view. What an address does within ten minutes has no order to learn."""
        there = [name for name in self.candidates if self._is_first(view) or name not in self.trained]
        return tuple(name for name in there if view != "entities" or "order" not in reads_of(name))

    def _is_first(self, view: str) -> bool:
        return view == self.collected.plan[0][0]

    def _options_of(self, view: str) -> Options:
        """Return the options of each member, with where it leaves its checkpoints."""
        if not self.checkpoints:
            return self.options
        folder = {"checkpoints": str(Path(self.checkpoints) / view)}
        leaving = {name for name in (*self.names, *self.candidates) if takes(name, "checkpoints")}
        return {**self.options, **{name: {**self.options.get(name, {}), **folder} for name in leaving}}

    def rates(self) -> tuple[RatesView | None, dict[str, Any]]:
        """Return the view of counts by minute, if there is to be one, and what is said of it."""
        counting, tally = self.collected.counting, self.collected.tally
        facts = {} if self.older is None else dict(self.older.training.get("rates", {}))
        if self.older is not None and counting is None:
            return self.older.rates, facts
        if counting is None:
            return None, {"says": "not watched, as asked", "notes": []}
        self.say("learning rates", 0)
        alarms = None if self.alarms is None else self.alarms / self._shares
        alarms = facts.get("alarms_a_day", alarms)
        origins = self.collected.origins()
        if self.older is not None and self.older.rates is not None:
            before = self.older.rates.origins
            origins = () if before is None or not origins else (*before.origins, *origins)
        return learn_rates(counting, self.context.templates, self.context.services, alarms, tally, origins)

    @property
    def rates_alarms(self) -> float:
        """False alarms a day that counts, and shares, may give."""
        if self.older is not None:
            return float(self.older.training.get("rates", {}).get("alarms_a_day", ALARMS_A_DAY))
        return ALARMS_A_DAY if self.alarms is None else self.alarms / self._shares

    def rate_of_lines(self) -> float:
        """Return the share of usual lines that may be called odd."""
        return self._rate(self.collected.records, self.alarms) if self.older is None else self.older.events.threshold

    def _rate(self, n: float, alarms: float | None) -> float:
        """Return the false-alarm rate for `n` windows or lines: the `alarms` a day are shared out evenly.

        Where none are asked for it is 1 in 1,000, and of a busy log so much less that no more than a person reads
        come of it.
        """
        days = (self.collected.end_us - self.collected.start_us) / US_PER_DAY
        timed = self.collected.end_us != NO_TIME and days > 0
        if alarms is None:
            return min(USUAL_RATE, READ_A_DAY / self._shares * max(days, 1.0) / max(n, 1.0)) if timed else USUAL_RATE
        if not timed:
            raise ConfigError(
                "Alarms a day need times, and these lines have none.",
                "Leave --false-alarms out: then 1 in 1,000 is odd.",
            )
        return min(alarms / self._shares * days / max(n, 1.0), 0.5)

    @property
    def _shares(self) -> int:
        """Among how many the alarms of a day are shared out: the views, the lines, and the rates if watched."""
        return len(self.collected.plan) + 1 + (self.collected.counting is not None)

    def _count_lines(self, events: pl.DataFrame, k: int) -> None:
        counted = (
            events.with_columns(fold=pl.Series(folds(events["time_us"].to_numpy(), self.edges)))
            .filter(pl.col("template") < k)
            .group_by("template", "level", "fold")
            .agg(n=pl.len().cast(pl.Int64))
        )
        by = ["template", "level", "fold"]
        self.by_type = pl.concat([self.by_type, counted]).group_by(by).agg(pl.col("n").sum()).sort(by)


def _widest(shares: F64 | None, old: F64, k: int) -> F64 | None:
    """Return the larger of two usual concentrations of each type [k]; the types of the old one are the first."""
    if shares is None:
        return None
    padded = np.full(k, np.nan)
    padded[: len(old)] = old
    widest: F64 = np.fmax(shares, padded)
    return widest


def _iso(time_us: int) -> str | None:
    time = to_datetime(time_us)
    return None if time is None else time.isoformat()


def _too_little(learned: Mapping[str, Learned]) -> TooLittleDataError:
    labelled = any(one.facts["anomalous_by_label"] for one in learned.values())
    said = "; ".join(one.facts["says"] for one in learned.values())
    check = "Check --labels, where 1 is anomalous. " if labelled else ""
    return TooLittleDataError(
        f"Too little to learn from: {said}.",
        f"{check}Give more logs, or cut smaller windows: --session none --window 20.",
    )
