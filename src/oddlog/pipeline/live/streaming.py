"""`detect` on lines that keep coming: the same functions on small batches, with state between them.

::

    lines ──► Arriving ──► events ──► a Windower per view ──► closed windows ──► verdicts   final
              (records)      │                          └──► windows at rest ──► verdicts   provisional
                             └──► verdicts of single lines: at once
                                                    odd ones ──► Unfolding ──► incidents

Any batching of the same arrivals gives the same verdicts as one `detect` of all of them; what that means where `detect`
looks at the whole log is in docs/decisions/live-verdicts.md. Event time goes on by itself while nothing arrives: as
fast as the clock that is passed in, from the last line on. So a replay of old lines is not taken for one long silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from oddlog.cleaning.traces import concat
from oddlog.errors import ModelError
from oddlog.feedback import Answers, Mark
from oddlog.incidents import alarming
from oddlog.model import Model
from oddlog.pipeline.cutting import settled
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.events import Codes, repeated, typed
from oddlog.pipeline.judging.closeups import Closeup
from oddlog.pipeline.judging.detecting import reading_of
from oddlog.pipeline.judging.detection import lines_alone
from oddlog.pipeline.judging.verdicts import line_verdicts
from oddlog.pipeline.judging.views import PARTIAL, View
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.live.ahead import placed
from oddlog.pipeline.live.arriving import Arriving, Place
from oddlog.pipeline.live.gate import Gate
from oddlog.pipeline.live.passing import Passing
from oddlog.pipeline.live.pushed import ODD_LINES, VERDICTS, Pushed, joined, shown_lines, stacked
from oddlog.pipeline.live.rating import Rating
from oddlog.pipeline.live.recent import MOST_BYTES, Recent
from oddlog.pipeline.live.rulebook import Rule, RuleBook
from oddlog.pipeline.live.teller import Teller
from oddlog.pipeline.live.windowing import Windowing
from oddlog.pipeline.planning import group_of
from oddlog.pipeline.rates import NAME as RATES
from oddlog.pipeline.reading import SAMPLE_LINES
from oddlog.pipeline.rolling import Thresholds
from oddlog.pipeline.watching import NumberColumns
from oddlog.rates.counting import BUCKET, US_PER_MINUTE
from oddlog.templates import Matcher
from oddlog.types import (
    NO_TIME,
    LiveIncident,
    Passed,
    State,
    Tally,
    Windows,
)
from oddlog.windows import LATE_EVENT

VERSION = 4  # of what `state` holds; to be raised with every change that an older one cannot be read with
LATENESS_S = 2.0
MOST_OPEN = 200_000
MOST_HELD = 4_000_000
MOST_UNSEEN = 100_000
MOST_OVER = 50_000  # events of windows that are over and wait to be judged
MOST_TOLD = 200  # odd lines of a push that are told one by one; all go to incidents


class Streaming:
    """Judges lines as they come. Learns nothing; what it holds is bounded, and what is let go is counted.

    Parameters
    ----------
    model : Model
        What is usual.
    format, exclude : str
        See `pipeline.detect`.
    lateness_s : float
        So long (event time) is waited for lines that are out of order; windows close that much later.
    max_open, max_held : int
        Windows open at once and events in them, for each view; beyond it the ones silent longest are closed early.
    max_unseen : int
        Types never seen in training that are told apart.
    max_text_bytes : int
        How much of the last lines' text is kept to be shown with incidents.
    sample_lines : int
        So many lines tell a source's format; fewer, once it is silent.
    threshold : str
        What judges windows: "learned", or "rolling" with those before them; see `pipeline.rolling`.
    answers : Answers, optional
        What people have said of earlier incidents.
    tally : Tally, optional
        Takes what was cleaned, cut, late, or let go.
    passing : Passing, optional
        Counts what goes by, for `passed`.
    rules : RuleBook, optional
        Traditional rules, whose incidents come in the same list.
    gate : Gate, optional
        What of the incidents is told; those held back are not notable.
    wall : callable
        Seconds since the epoch: what lies in the future of it has a wrong clock.

    """

    def __init__(
        self,
        model: Model,
        *,
        format: str = "",  # noqa: A002 - the option's name
        exclude: str = "",
        lateness_s: float = LATENESS_S,
        max_open: int = MOST_OPEN,
        max_held: int = MOST_HELD,
        max_unseen: int = MOST_UNSEEN,
        max_text_bytes: int = MOST_BYTES,
        sample_lines: int = SAMPLE_LINES,
        threshold: str = "learned",
        answers: Answers | None = None,
        tally: Tally | None = None,
        passing: Passing | None = None,
        rules: RuleBook | None = None,
        gate: Gate | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self.model = model
        self._passing = passing
        self._clock_s = 0.0
        self._now_us = NO_TIME  # event time that has been reached
        self.tally = tally or Tally()
        self._numbers = NumberColumns(model.context.numbers)
        reading = reading_of(model, self.tally, format, exclude, known_numbers=self._numbers.fields)
        self._arriving = Arriving(reading, sample_lines=sample_lines)
        self._matcher = Matcher(model.context.templates, max_unseen=max_unseen)
        self._views = list(model.views)
        self._services = Codes(model.context.services, what="services", tally=self.tally)
        self._sources = Codes(what="sources", tally=self.tally)
        self._words = alarming(model.context.templates.text)
        self._lateness_us = round(lateness_s * 1e6)
        bounds = {"lateness_us": self._lateness_us, "max_open": max_open, "max_held": max_held}
        self._windowing = Windowing(
            [view.cut.windower(self.tally, **bounds) for view in model.views], max(max_held // 8, 1), self.tally
        )
        self._recent = Recent(max_text_bytes)
        self._teller = Teller(
            model,
            self._matcher,
            self._services,
            self._sources,
            self.tally,
            answers=answers,
            rules=rules or RuleBook(),
            gate=gate or Gate(),
            lateness_us=self._lateness_us,
        )
        self._thresholds = Thresholds(model, threshold, self.tally)
        self._rating = None if model.rates is None else Rating(model, self._services, self.tally)
        self._span_us = (NO_TIME, NO_TIME)
        self._arrived_s = 0.0  # by the clock, when the last line came
        self._is_finished = False
        self.odd_lines = self.windows = self.odd_windows = 0

    @property
    def lines(self) -> int:
        """Lines that came."""
        return self._arriving.lines

    @property
    def end_us(self) -> int:
        """The latest time of a record (us), `NO_TIME` before the first one."""
        return self._span_us[1]

    @property
    def start_us(self) -> int:
        """The earliest time of a record (us), `NO_TIME` before the first one."""
        return self._span_us[0]

    @property
    def threshold(self) -> str:
        """What judges windows; see `pipeline.rolling`."""
        return self._thresholds.kind

    @property
    def says(self) -> str:
        """One sentence of what was judged so far."""
        odd = f"{self.odd_windows:,} of {self.windows:,} windows odd"
        incidents = f"{self.told:,} incident{'' if self.told == 1 else 's'}"
        return f"{self.lines:,} lines: {odd}, {lines_alone(self.odd_lines)}, {incidents} told"

    @property
    def told(self) -> int:
        """Incidents that were told."""
        return self._teller.told

    @property
    def going(self) -> set[str]:
        """Ids of incidents that were told and go on."""
        return self._teller.going

    @property
    def late_share(self) -> float:
        """Share of the lines that came after others of a later time had been judged."""
        return self.tally.counts[LATE_EVENT] / max(self.lines, 1) / len(self.model.views)  # each view counts its own

    @property
    def n_open(self) -> int:
        """Windows that are open."""
        return self._windowing.n_open

    def places(self) -> Mapping[str, Place]:
        """Return where each source is to be resumed: behind the last line that became part of a complete record."""
        return self._arriving.places()

    @property
    def earliest(self) -> int | None:
        """See `Arriving.earliest`."""
        return self._arriving.earliest

    def heed(self, answers: Answers) -> None:
        """Judge from now on by these answers."""
        self._teller.heed(answers)

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put what is new down to these deployments from now on, also what came before they were marked.

        Incidents of their services say how long after them they began.
        """
        self._teller.mark(marks)

    def rule(self, book: RuleBook, per_day: float | None) -> None:
        """Go by these rules and maintenance windows, and by this budget a day (None for none), from now on."""
        self._teller.rule(book, per_day, self._now_us)

    def push(self, lines: pl.DataFrame, now_s: float, *, windows: bool = True) -> Pushed:
        """Take LINES in order of arrival, at `now_s` of any clock that never goes back.

        Without `windows`, windows that are over are judged by the next `tick`, all of them at once: that takes as long
        as to judge one. Single lines are judged in any case.
        """
        self._clock_s = now_s
        if len(lines):
            self._arrived_s = now_s
            self._teller.quiet.arrived(lines["source"].unique().to_list(), now_s)
        done = self._judge(self._arriving.push(lines, now_s), windows=windows)
        self._now_us = max(self._now_us, self.end_us)
        return joined([done, *self._rated(self.end_us - self._lateness_us, now_s, more=True)])

    def held_up(self, seconds: float) -> None:
        """Note that nothing could be pushed for so long, whatever came: no source was silent."""
        self._teller.quiet.held_up(seconds)

    def settle(self, now_s: float) -> Pushed:
        """Judge the lines that nothing more is awaited for; cheaper than `tick`, and may be called more often."""
        return self._judge(self._arriving.tick(now_s), windows=False)

    def tick(self, now_s: float) -> Pushed:
        """Let time pass: what nothing more is awaited for is judged, windows at rest provisionally."""
        self._clock_s = now_s
        passed_us = round(max(now_s - self._arrived_s, 0.0) * 1e6)
        done = self._judge(self._arriving.tick(now_s), passed_us - self._lateness_us)
        if self.end_us != NO_TIME:
            self._now_us = max(self._now_us, self.end_us + passed_us)
        return joined([done, *self._at_rest(), *self._rated(self.end_us + passed_us - self._lateness_us, now_s)])

    def finish(self) -> Pushed:
        """Judge everything, as nothing more will come for now."""
        done = self._judge(self._arriving.finish(), 0)
        flushed = zip(self._views, self._windowing.flush(), strict=True)
        rest = [self._verdicts(view, windows) for view, windows in flushed]
        self._is_finished = True
        whole_us = self.end_us + US_PER_MINUTE * BUCKET
        return joined([done, *(Pushed(verdicts=frame) for frame in rest), *self._rated(whole_us, final=True)])

    def incidents(self, *, every: bool = False) -> list[LiveIncident]:
        """Return the incidents that are new or have changed since they were last asked for, most pressing first.

        Those that have changed a little are only returned if `every` change is asked for.
        """
        clocks = (self._span_us, self._now_us, self._clock_s)
        changed = self._teller.changed(self._words, self._recent, *clocks, exact=self._is_finished)
        return [one for one in changed if every or one.notable]

    @property
    def rules(self) -> list[tuple[Rule, bool, int]]:
        """See `Rules.standing`."""
        return self._teller.rules.standing()

    @property
    def gate(self) -> Gate:
        """What decides which incidents are told."""
        return self._teller.gate

    def closeups(self) -> dict[str, Closeup]:
        """Return the most pressing of the incidents that go on, from near, by id."""
        return self._teller.unfolding.closeups(self._recent)

    def passed(self) -> Passed | None:
        """Return what went by since this was asked last; None where it is not counted, or for nothing."""
        if self._passing is None:
            return None
        return self._passing.take(self._matcher, self._services.names, self._sources.names)

    def drift(self) -> Drift | None:
        """Return how far what comes now is from training; None where the model knows nothing of that."""
        if self._rating is None or self._rating.drifting is None:
            return None
        return self._rating.drifting.told(self._services.names, self._matcher, self._thresholds.told())

    def abandon(self) -> list[LiveIncident]:
        """Return what goes on as over, because another model judges from now on."""
        return self._teller.abandon()

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `restore` needs to go on, but for records that are still open: see `places`."""
        windowing = self._windowing.state()
        arrays = dict(windowing.arrays)
        rating = State() if self._rating is None else self._rating.state()
        arrays |= within("rating", rating.arrays)
        telling = self._teller.state()
        arrays |= within("telling", telling.arrays)
        thresholds = self._thresholds.state()
        arrays |= within("thresholds", thresholds.arrays)
        meta = {
            "version": VERSION,
            "model": self.model.id,
            "windowers": windowing.meta["windowers"],
            "rating": rating.meta,
            "telling": telling.meta,
            "thresholds": thresholds.meta,
            "unseen": self._matcher.state().meta,
            "services": self._services.names,
            "sources": self._sources.names,
            "span": self._span_us,
            "places": {name: list(place) for name, place in self.places().items()},
            "counts": [self.odd_lines, self.windows, self.odd_windows],
        }
        return State(arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new, and of the same model.

        Raises
        ------
        ModelError
            If it was taken with another model, or by another version of oddlog that noted other things.

        """
        meta = _read(state)
        if meta["model"] != self.model.id:
            raise ModelError("The checkpoint was made with another model.", "Remove it to begin anew.")
        self._matcher.restore(State(meta=meta["unseen"]))
        for codes, names in ((self._services, meta["services"]), (self._sources, meta["sources"])):
            codes.of(pl.Series(names, dtype=pl.String))
        self._windowing.restore(state)
        if self._rating is not None and meta.get("rating"):
            self._rating.restore(State(under("rating", state.arrays), meta["rating"]))
        self._teller.restore(State(under("telling", state.arrays), meta["telling"]))
        self._thresholds.restore(State(under("thresholds", state.arrays), meta["thresholds"]))
        self._span_us = (meta["span"][0], meta["span"][1])
        self._arriving.resume(meta["places"])
        self.odd_lines, self.windows, self.odd_windows = meta["counts"]
        self._know_words()
        looked = None if self._rating is None else self._rating.again()
        if looked is not None:
            self._teller.unfolding.set_episodes(looked, self._teller.overlay)

    def inherit(self, state: State) -> None:
        """Take over what is no model's where `state` was taken with another one: rules, silence, what was told.

        Raises
        ------
        ModelError
            If it was taken by another version of oddlog.

        """
        meta = _read(state)
        self._teller.inherit(State(under("telling", state.arrays), meta["telling"]))

    # -- from records to verdicts ----------------------------------------------------------------------------

    def _judge(self, frames: Iterable[pl.DataFrame], ahead_us: int | None = None, *, windows: bool = True) -> Pushed:
        """Return what is found in records; the watermark is set so far ahead of the last of them, if it is given."""
        pushed: list[pl.DataFrame | None] = [None] * len(self._views)
        if frames := list(frames):
            records = placed(concat(frames), self.end_us, round(self._wall() * 1e6), self.tally)
            events = self._events(records)
            self._recent.add(records)
            for i, view in enumerate(self.model.views):
                grouped = events.hstack([group_of(records, view.name, view.cut)])
                if i == 0:
                    self._teller.add(grouped)
                grouped = repeated(grouped)
                if i == 0 and self._rating is not None:
                    self._rating.add_events(grouped)
                # As in `detect`, the first view has every line: single lines are judged from it too.
                if i and grouped["session"].null_count():
                    grouped = grouped.filter(pl.col("session").is_not_null())
                pushed[i] = _in_time(grouped)
        watermark_us = None if ahead_us is None or self.end_us == NO_TIME else self.end_us + ahead_us
        lines = [self._odd_lines(one) for one in pushed[:1] if one is not None]
        self._windowing.push(pushed, watermark_us, self.end_us)
        verdicts = self._judge_over() if windows or self._windowing.n_over > MOST_OVER else []
        return Pushed(stacked(verdicts, VERDICTS), stacked(lines, ODD_LINES))

    def _judge_over(self) -> list[pl.DataFrame]:
        """Return the verdicts of the windows that are over and were not judged yet."""
        over = zip(self._views, self._windowing.over(), strict=True)
        return [self._verdicts(view, windows) for view, windows in over]

    def _events(self, records: pl.DataFrame) -> pl.DataFrame:
        hosts = None if self._rating is None else self._rating.hosts
        events, masked = typed(records, self._matcher, self._numbers, self._services, self._sources, hosts)
        if self._rating is not None:
            self._rating.add(records, events, masked)
        self._teller.rules.add(records)
        self._teller.newcomers.add(events)
        if self._passing is not None:
            self._passing.add(events)
        self._note_times(events["time_us"])
        self._teller.quiet.add(records, self.end_us)
        self._know_words()
        return events

    def _know_words(self) -> None:
        """Look for words of trouble in the types that are new."""
        known = len(self._words)
        now = len(self.model.context.templates) + self._matcher.n_unseen
        if now > known:
            texts = [self._matcher.text_of(row) for row in range(known, now)]
            self._words = np.concatenate([self._words, alarming(texts)])
            # Members that read texts know those of the types that have come until now: those of its windows are there.
            unseen = self._matcher.unseen_texts
            self._views = [view.knowing(unseen) for view in self.model.views]

    def _note_times(self, time_us: pl.Series) -> None:
        times = time_us.to_numpy()
        timed = times[times != NO_TIME]
        if len(timed):
            low, high = int(timed.min()), int(timed.max())
            start, end = self._span_us
            self._span_us = (low if start == NO_TIME else min(start, low), max(end, high))

    def _at_rest(self) -> list[Pushed]:
        """Return the verdicts of sessions that pause: what `detect` would say of them now."""
        found = []
        for view, windower in zip(self._views, self._windowing.windowers, strict=True):
            if view.cut.closing is not None:
                windows = windower.resting(view.cut.closing.pause_us)
                until_us = max(self.end_us, windower.watermark_us)
                found.append(Pushed(verdicts=self._verdicts(view, windows, resting_until_us=until_us)))
        return found

    def _verdicts(self, view: View, windows: Windows, resting_until_us: int | None = None) -> pl.DataFrame:
        """Return the verdicts of windows, provisional for those at rest; what is odd goes to the incidents."""
        if not len(windows):
            return pl.DataFrame(schema=VERDICTS)
        provisional = resting_until_us is not None
        end_us = self.end_us if resting_until_us is None else resting_until_us
        windows = settled(windows, view.cut, (self._span_us[0], end_us))
        if provisional:
            windows = windows.take(~np.isin(windows.closed_by, PARTIAL))
        if provisional:
            verdict = self._thresholds.verdicts_now(view, windows)
        else:
            verdict = self._thresholds.verdicts(view, windows, max(self.end_us, self._windowing.watermark_us))
        judged = self._teller.overlay.judge(view, windows, verdict)
        if not provisional:
            self._teller.overlay.deployed.take(judged.deployed.windows)
            self.windows += len(windows)
            self.odd_windows += int(judged.verdict["is_anomaly"].sum())
            if self._rating is not None and view.name == self._views[0].name and view.cut.by == "session":
                self._rating.add_windows(windows)
            if self._rating is not None and self._rating.drifting is not None:
                self._rating.drifting.add_verdicts(view.name, judged.verdict)
            if self._passing is not None:
                self._passing.add_verdicts(judged.verdict.with_columns(view=pl.lit(view.name)))
        self._teller.unfolding.add_windows(view, windows, judged, provisional=provisional)
        return judged.verdict.with_columns(view=pl.lit(view.name), provisional=pl.lit(provisional)).cast(dict(VERDICTS))  # type: ignore[arg-type] # a schema is a mapping

    def _rated(self, closed_us: int, now_s: float = 0.0, *, more: bool = False, final: bool = False) -> list[Pushed]:
        """Return what counts and shares say now that all before `closed_us` has come, if a minute more is over."""
        if self._rating is None or self.end_us == NO_TIME:
            return []
        minute = closed_us // US_PER_MINUTE
        if not (final or self._rating.is_due(minute, now_s, more=more)):
            return []
        over = min(minute, self.end_us // US_PER_MINUTE)
        looked = self._rating.look(minute, over)
        if self._rating.drifting is not None and not more:  # windows that are over have been judged just now
            self._rating.drifting.settle(over)
        self._teller.unfolding.set_episodes(looked, self._teller.overlay)
        told = self._rating.verdicts(looked, final=final).with_columns(
            view=pl.lit(RATES), provisional=pl.lit(value=False)
        )
        return [Pushed(verdicts=told.cast(dict(VERDICTS)))]  # type: ignore[arg-type] # a schema is a mapping

    def _odd_lines(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the odd ones among lines, as they are shown."""
        odd = line_verdicts(self.model.events, events, self._words)
        if not odd["is_anomaly"].any():
            return pl.DataFrame(schema=ODD_LINES)
        odd = odd.filter("is_anomaly")
        odd = self._teller.lines(odd)
        self.odd_lines += len(odd)
        self.tally.add(f"odd line beyond {MOST_TOLD:,} of one push, not told by itself", len(odd) - MOST_TOLD)
        odd = odd.head(MOST_TOLD)
        return shown_lines(odd, self._matcher, self._services.names, self._sources.names, self._recent)


def _read(state: State) -> Mapping[str, Any]:
    meta = state.meta
    if meta.get("version") != VERSION:
        raise ModelError("The checkpoint was made by another version of oddlog.", "Remove it to begin anew.")
    return meta


def _in_time(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of several sources in order of time, those of one as they came."""
    source, time_us = events["source"].to_numpy(), events["time_us"].to_numpy()
    if (time_us[1:] >= time_us[:-1]).all() or (source == source[:1]).all():
        return events
    return events[np.argsort(time_us, kind="stable")]
