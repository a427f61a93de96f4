"""`detect` on lines that keep coming: the same functions on small batches, with state between them.

::

    lines ──► Arriving ──► Encoding ──► Windowing ──► closed windows ──► verdicts   final
              (records)    (events)            └──► windows at rest ──► verdicts   provisional
                             └──► verdicts of single lines: at once     (Deciding)
                                                    odd ones ──► Teller ──► incidents

Any batching of the same arrivals gives the same verdicts as one `detect` of all of them; what that means where `detect`
looks at the whole log is in docs/decisions/live-verdicts.md. Event time goes on by itself while nothing arrives: as
fast as the clock that is passed in, from the last line on. So a replay of old lines is not taken for one long silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from oddlog.cleaning.traces import concat
from oddlog.errors import ModelError
from oddlog.feedback import Answers, Mark
from oddlog.model import Model
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.judging.closeups import Closeup
from oddlog.pipeline.judging.detecting import reading_of
from oddlog.pipeline.judging.detection import lines_alone
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.live.ahead import placed
from oddlog.pipeline.live.arriving import Arriving, Place
from oddlog.pipeline.live.deciding import Deciding
from oddlog.pipeline.live.encoding import Encoding
from oddlog.pipeline.live.gate import Gate
from oddlog.pipeline.live.passing import Passing
from oddlog.pipeline.live.pushed import Pushed, joined
from oddlog.pipeline.live.recent import MOST_BYTES, Recent
from oddlog.pipeline.live.rulebook import Rule, RuleBook
from oddlog.pipeline.live.teller import Teller
from oddlog.pipeline.reading import SAMPLE_LINES
from oddlog.types import NO_TIME, LiveIncident, Passed, State, Tally
from oddlog.windows import LATE_EVENT

VERSION = 4  # of what `state` holds; to be raised with every change that an older one cannot be read with
LATENESS_S = 2.0
MOST_OPEN = 200_000
MOST_HELD = 4_000_000
MOST_UNSEEN = 100_000


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
        self.tally = tally = tally or Tally()
        self._lateness_us = round(lateness_s * 1e6)
        self._encoding = encoding = Encoding(model, max_unseen, tally)
        reading = reading_of(model, tally, format, exclude, known_numbers=encoding.number_fields)
        self._arriving = Arriving(reading, sample_lines=sample_lines)
        self._recent = Recent(max_text_bytes)
        self._teller = Teller(
            model,
            encoding,
            tally,
            answers=answers,
            rules=rules or RuleBook(),
            gate=gate or Gate(),
            lateness_us=self._lateness_us,
        )
        self._passing = passing
        self._deciding = Deciding(
            model,
            encoding,
            self._teller,
            self._recent,
            tally,
            passing=passing,
            threshold=threshold,
            lateness_us=self._lateness_us,
            max_open=max_open,
            max_held=max_held,
        )
        self._clock_s = 0.0
        self._arrived_s: float | None = None  # by the clock, when the last line came; as it was read first, before any
        self._now_us = NO_TIME  # event time that has been reached
        self._is_finished = False

    @property
    def lines(self) -> int:
        """Lines that came."""
        return self._arriving.lines

    @property
    def end_us(self) -> int:
        """The latest time of a record (us), `NO_TIME` before the first one."""
        return self._encoding.span_us[1]

    @property
    def start_us(self) -> int:
        """The earliest time of a record (us), `NO_TIME` before the first one."""
        return self._encoding.span_us[0]

    @property
    def odd_lines(self) -> int:
        """Lines that were odd by themselves."""
        return self._deciding.odd_lines

    @property
    def windows(self) -> int:
        """Windows that were judged for good."""
        return self._deciding.windows

    @property
    def odd_windows(self) -> int:
        """Odd ones among them."""
        return self._deciding.odd_windows

    @property
    def threshold(self) -> str:
        """What judges windows; see `pipeline.rolling`."""
        return self._deciding.thresholds.kind

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
        return self._deciding.windowing.n_open

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
        counts = self._deciding.counts(self.end_us - self._lateness_us, now_s, more=True)
        return joined([done, Pushed(counts)])

    def held_up(self, seconds: float) -> None:
        """Note that nothing could be pushed for so long, whatever came: no source was silent."""
        self._teller.quiet.held_up(seconds)

    def settle(self, now_s: float) -> Pushed:
        """Judge the lines that nothing more is awaited for; cheaper than `tick`, and may be called more often."""
        return self._judge(self._arriving.tick(now_s), windows=False)

    def tick(self, now_s: float) -> Pushed:
        """Let time pass: what nothing more is awaited for is judged, windows at rest provisionally."""
        self._clock_s = now_s
        if self._arrived_s is None:  # noted by another process: how long that is over, no clock tells; time stood still
            self._arrived_s = now_s - max(self._now_us - self.end_us, 0) / 1e6
        passed_us = round(max(now_s - self._arrived_s, 0.0) * 1e6)
        done = self._judge(self._arriving.tick(now_s), passed_us - self._lateness_us)
        if self.end_us != NO_TIME:
            self._now_us = max(self._now_us, self.end_us + passed_us)
        counts = self._deciding.counts(self.end_us + passed_us - self._lateness_us, now_s)
        return joined([done, Pushed(self._deciding.at_rest()), Pushed(counts)])

    def finish(self) -> Pushed:
        """Judge everything, as nothing more will come for now."""
        done = self._judge(self._arriving.finish(), 0)
        self._is_finished = True
        return joined([done, Pushed(self._deciding.finish())])

    def incidents(self, *, every: bool = False) -> list[LiveIncident]:
        """Return the incidents that are new or have changed since they were last asked for, most pressing first.

        Those that have changed a little are only returned if `every` change is asked for.
        """
        encoding = self._encoding
        clocks = (encoding.span_us, self._now_us, self._clock_s)
        changed = self._teller.changed(encoding.words, self._recent, *clocks, exact=self._is_finished)
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
        encoding = self._encoding
        return self._passing.take(encoding.matcher, encoding.services.names, encoding.sources.names)

    def drift(self) -> Drift | None:
        """Return how far what comes now is from training; None where the model knows nothing of that."""
        return self._deciding.drift()

    def abandon(self) -> list[LiveIncident]:
        """Return what goes on as over, because another model judges from now on."""
        return self._teller.abandon()

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `restore` needs to go on, but for records that are still open: see `places`."""
        deciding, telling = self._deciding.state(), self._teller.state()
        meta = {
            "version": VERSION,
            "model": self.model.id,
            "now": self._now_us,
            "places": {name: list(place) for name, place in self.places().items()},
            "telling": telling.meta,
            **self._encoding.state().meta,
            **deciding.meta,
        }
        return State({**deciding.arrays, **within("telling", telling.arrays)}, meta)

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
        self._encoding.restore(state)
        self._deciding.restore(state)
        self._teller.restore(State(under("telling", state.arrays), meta["telling"]))
        self._arriving.resume(meta["places"])
        self._now_us = meta.get("now", self.end_us)  # older ones do not note it
        self._deciding.look_again()

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
        lines = Pushed()
        if frames := list(frames):
            records = placed(concat(frames), self.end_us, round(self._wall() * 1e6), self.tally)
            lines = Pushed(lines=self._deciding.push(records))
        if ahead_us is not None and self.end_us != NO_TIME:
            self._deciding.windowing.let_pass(self.end_us + ahead_us)
        return joined([lines, Pushed(self._deciding.over(at_once=windows))])


def _read(state: State) -> Mapping[str, Any]:
    meta = state.meta
    if meta.get("version") != VERSION:
        raise ModelError("The checkpoint was made by another version of oddlog.", "Remove it to begin anew.")
    return meta
