"""Detection heeds what people have said: answers to patterns, and types that are excused.

A window that is odd is covered by an answer in one of two ways:

- its pattern was answered. The last answer to a pattern holds; patterns are equal or they are not, a larger or a
  smaller set of types is another pattern;
- or it is odd for nothing but *excused types*: types never seen in training that led an incident somebody called
  usual or muted. This is judged by taking their lines out and asking the model again::

      answered     A B C X        odd, for X is new               usual
      today        A B X X        without X: usual                covered
      today        A X            without X: B and C are missing  stays

What was called usual is not odd any more, neither window nor line. What is muted stays odd and is only not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from oddlog.explain import leading
from oddlog.feedback.answers import Answer, Standing, answered, apply
from oddlog.incidents import pattern_of
from oddlog.pipeline.distinct import counts_hash, distinct
from oddlog.pipeline.known import Known
from oddlog.pipeline.odd import MOST_ODD, OddWindows, patterns_of
from oddlog.pipeline.since_deploy import SinceDeploy
from oddlog.pipeline.views import View
from oddlog.templates import Matcher
from oddlog.types import I64, OVERFLOW, Bool, Incident, Windows, to_datetime

SHOWN, USUAL, MUTED, DEPLOYED = range(4)  # what becomes of an odd window or line
_BECOMES = {"usual": USUAL, "mute": MUTED}


@dataclass(frozen=True)
class Judged:
    """The windows of a partition as they stand after the answers.

    Attributes
    ----------
    verdict : pl.DataFrame
        `types.SCORES` [w]; what was called usual is not odd.
    shown, hidden : OddWindows
        Those that make incidents, and those that an answer covers.
    odd : OddWindows
        All that are odd, muted ones among them.
    usual : Windows
        Those that are odd to the model and usual to a person.

    """

    verdict: pl.DataFrame
    shown: OddWindows
    hidden: OddWindows
    odd: OddWindows
    usual: Windows

    @property
    def told(self) -> Windows:
        """Windows whose lines are told with them, and not by themselves."""
        return Windows.concat([self.shown.windows, self.hidden.windows])


@dataclass
class Overlay:
    """What people have said, while a `detect` runs.

    Parameters
    ----------
    standing : Standing
        The answers that hold.
    matcher : Matcher
        Of this run.
    deployed : SinceDeploy
        What deployments brought, which is told in their incidents.

    """

    standing: Standing
    matcher: Matcher
    deployed: SinceDeploy = field(default_factory=SinceDeploy)

    def __bool__(self) -> bool:
        return bool(self.standing or self.deployed.found)

    def answered(self, row: int) -> bool:
        """Return whether somebody has called a type never seen in training usual, or muted it."""
        return self.standing.type(self.matcher.key_of(row)) is not None

    def judge(self, view: View, windows: Windows) -> Judged:
        """Return the verdicts of `windows` [w] after the answers; those that deployments explain are counted there."""
        verdict = view.verdicts(windows)
        if not self:
            odd = OddWindows.of(view, windows, verdict)
            nothing = Windows.empty(windows.numbers.shape[1])
            return Judged(verdict, odd, OddWindows.of(view, nothing, verdict.clear()), odd, nothing)
        verdict = self._confirmed(view, windows, verdict)
        odd_to_model = verdict["is_anomaly"].to_numpy()
        becomes = self._becomes(view, windows, odd_to_model)
        verdict = _with_odd(verdict, odd_to_model & (becomes != USUAL))

        def those(mask: Bool) -> OddWindows:
            return OddWindows.of(view, windows, _with_odd(verdict, odd_to_model & mask))

        shown = those(becomes == SHOWN)
        odd = those(becomes != USUAL) if (becomes >= MUTED).any() else shown
        hidden = those((becomes == USUAL) | (becomes == MUTED))
        self.deployed.take(windows.take(odd_to_model & (becomes == DEPLOYED)))
        return Judged(verdict, shown, hidden, odd, windows.take(odd_to_model & (becomes == USUAL)))

    def usual(self, view: View, windows: Windows, odd: Bool) -> Bool:
        """Return which windows [w] people have called usual; of other views than sessions only `odd` ones are asked."""
        usual: Bool = self._becomes(view, windows, odd | (view.cut.by == "session")) == USUAL
        return usual

    def confirmed(self, view: View, windows: Windows, odd: Bool) -> Bool:
        """Return which windows [w] people have confirmed; of other views than sessions only `odd` ones are asked."""
        asked = np.flatnonzero(odd | (view.cut.by == "session"))
        confirmed = np.zeros(len(windows), np.bool_)
        confirmed[asked] = [
            one is not None and one.answer == "anomalous" for one in self._answers(view, windows.take(asked))
        ]
        return confirmed

    def lines(self, lines: pl.DataFrame, judged: Judged) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the verdicts of a partition's lines after the answers: all of them, those to show, those covered.

        `lines` is what `verdicts.line_verdicts` returns. A line that is odd by itself is covered if its type is, or
        if it stands in a window that a person called usual.
        """
        odd = lines["is_anomaly"].to_numpy()
        if not self or not odd.any():
            return lines, lines, lines.clear()
        there = pl.DataFrame({"source": judged.usual.source, "line": judged.usual.line}).unique()
        inside = lines.join(there.with_columns(inside=True), on=["source", "line"], how="left", maintain_order="left")
        becomes = np.where(inside["inside"].is_not_null().to_numpy(), USUAL, self._lines_become(lines, odd))
        covered = (becomes == USUAL) | (becomes == MUTED)
        return (
            _with_odd(lines, odd & (becomes != USUAL)),
            _with_odd(lines, odd & (becomes == SHOWN)),
            _with_odd(lines, odd & covered),
        )

    def incidents(self, shown: Sequence[Incident], hidden: Sequence[Incident]) -> tuple[list[Incident], list[Incident]]:
        """Return the incidents to show and those that are covered, each with what was said of it."""
        shown, also_hidden = apply(self.standing, shown)
        covered = [self._told(incident) for incident in hidden] + also_hidden
        return shown, sorted(covered, key=lambda one: -one.severity)

    def _told(self, incident: Incident) -> Incident:
        """Return a covered incident with the answer that covers it."""
        candidates = [self.standing.last(one) for one in (incident.pattern, *incident.patterns)]
        candidates += [self.standing.type(int(key, 16)) for key in incident.new_types]
        quiet = [one for one in candidates if one is not None and one.answer in _BECOMES]
        return answered(incident, quiet[0]) if quiet else incident

    def _confirmed(self, view: View, windows: Windows, verdict: pl.DataFrame) -> pl.DataFrame:
        """Return the verdicts with those odd again that only recur, where a person has confirmed their pattern."""
        words = {given[-1].answer for given in self.standing.of_pattern.values()}
        if not len(view.known.oddity) or "anomalous" not in words:
            return verdict
        calm = np.flatnonzero(~verdict["is_anomaly"].to_numpy())
        bare = replace(view, known=Known.nothing()).verdicts(windows.take(calm))
        suspect = np.flatnonzero(bare["is_anomaly"].to_numpy())
        found = self._answers(view, windows.take(calm[suspect]))
        confirmed = suspect[np.array([one is not None and one.answer == "anomalous" for one in found], np.bool_)]
        place = np.arange(len(verdict))
        place[calm[confirmed]] = len(verdict) + confirmed
        return pl.concat([verdict, bare])[place]

    def _becomes(self, view: View, windows: Windows, odd: Bool) -> I64:
        """Return what becomes of each window [w] that is odd."""
        becomes = np.full(len(windows), SHOWN)
        index = np.flatnonzero(odd)
        found = self._answers(view, windows.take(index))
        becomes[index] = [SHOWN if one is None else _BECOMES.get(one.answer, SHOWN) for one in found]
        unanswered = index[np.array([one is None for one in found], np.bool_)]
        becomes[unanswered] = self._without_excused(view, windows.take(unanswered))
        return becomes

    def _answers(self, view: View, windows: Windows) -> list[Answer | None]:
        """Return the answer to each window's pattern [w]; of very many windows only to the first `MOST_ODD`."""
        if view.cut.by == "session":
            first, inverse = distinct(counts_hash(windows, OVERFLOW))
            patterns = patterns_of(self.matcher, view, windows.take(first), [])
            named = [patterns[i] for i in inverse.tolist()]
        else:
            some = windows.take(np.arange(min(len(windows), MOST_ODD)))
            named = patterns_of(self.matcher, view, some, [leading(one) for one in view.oddities(some)])
            named += [""] * (len(windows) - len(some))
        ends = windows.end.tolist()
        return [self.standing.pattern(one, to_datetime(end)) for one, end in zip(named, ends, strict=True)]

    def _without_excused(self, view: View, windows: Windows) -> I64:
        """Return what becomes of each window [w] for the excused types in it.

        They are taken out kind by kind, the usual ones first; a window that is then not odd any more is covered.
        """
        becomes = np.full(len(windows), SHOWN)
        excuse = self._excuses(windows.template, windows.end[windows.window_of_event])
        for kind in (USUAL, MUTED, DEPLOYED):
            out = (excuse != SHOWN) & (excuse <= kind)
            holds = np.zeros(len(windows), np.bool_)
            holds[windows.window_of_event[out & (excuse == kind)]] = True
            asked = np.flatnonzero(holds & (becomes == SHOWN))
            if len(asked):
                rest = without(windows, out).take(asked)
                still = view.verdicts(rest)["is_anomaly"].to_numpy() & (rest.lengths > 0)
                becomes[asked[~still]] = kind
        return becomes

    def _excuses(self, template: np.ndarray, end_us: I64) -> I64:
        """Return why each event [e] of a type never seen in training is excused; `SHOWN` where it is not."""
        k = len(self.matcher.templates)
        excuse = np.full(len(template), SHOWN)
        for row in np.unique(template[(template >= k) & (template != OVERFLOW)]).tolist():
            at = np.flatnonzero(template == row)
            excuse[at] = self._excuse(row, end_us[at])
        return excuse

    def _excuse(self, row: int, end_us: I64) -> I64:
        """Return why a type is excused [x], at the ends of what holds it."""
        excuse = np.full(len(end_us), DEPLOYED if row in self.deployed.excused else SHOWN)
        return self._after(self.standing.of_type.get(self.matcher.key_of(row), []), end_us, excuse)

    def _after(self, given: Sequence[Answer], end_us: I64, before: I64) -> I64:
        """Return what the last answer says at each time [x], `before` where none has been given."""
        said = before.copy()
        for one in given:
            held = slice(None) if not self.standing.only_later else end_us > _us(one)
            said[held] = _BECOMES.get(one.answer, SHOWN)
        return said

    def _lines_become(self, lines: pl.DataFrame, odd: Bool) -> I64:
        """Return what becomes of each line [x] that is odd by itself."""
        template, time_us = lines["template"].to_numpy(), lines["time_us"].to_numpy()
        becomes = np.full(len(lines), SHOWN)
        for row in np.unique(template[odd]).tolist():
            at = np.flatnonzero(odd & (template == row))
            given = self.standing.of_pattern.get(pattern_of([self.matcher.key_of(row)]), [])
            becomes[at] = self._after(given, time_us[at], self._excuse(row, time_us[at]))
        return becomes


def without(windows: Windows, out: Bool) -> Windows:
    """Return `windows` [w] without the events [e] that are `out`; times and keys stay."""
    kept = np.concatenate([[0], np.cumsum(~out)]).astype(np.int64)
    arrays = {
        name: getattr(windows, name)[~out]
        for name in ("template", "time_us", "level", "service", "source", "line", "numbers")
    }
    return replace(windows, offsets=kept[windows.offsets], **arrays)


def _with_odd(frame: pl.DataFrame, odd: Bool) -> pl.DataFrame:
    return frame.with_columns(is_anomaly=pl.Series(odd, dtype=pl.Boolean))


def _us(answer: Answer) -> int:
    return round(answer.time.timestamp() * 1e6)


def hidden_notes(hidden: Sequence[Incident]) -> list[str]:
    """Return how many incidents are not shown, and why."""
    notes = []
    for answer, said in (("usual", "called usual"), ("mute", "muted")):
        those = [one for one in hidden if one.answer == answer]
        if those:
            n_patterns = len({one.pattern for one in those})
            notes.append(
                f"{_plural(len(those), 'incident')} of {_plural(n_patterns, 'pattern')} you {said} "
                f"{'is' if len(those) == 1 else 'are'} not shown; --all shows {'it' if len(those) == 1 else 'them'}."
            )
    return notes


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
