"""Detection heeds what people have said: answers to patterns, and types that are excused.

A window that is odd is covered by an answer in one of two ways:

- its pattern was answered. The last answer to a pattern holds; patterns are equal or they are not, a larger or a
  smaller set of types is another pattern;
- or it is odd for nothing but *excused types*: types never seen in training that led an incident somebody called
  usual or muted. This is judged by taking their lines out and asking the model again::

      answered     A B C X        odd, for X is new               usual
      today        A B X X        without X: usual                covered
      today        A X            without X: B and C are missing  stays
      today        A B C D X      X was called usual beside A B C stays, in sessions; see `company`

What was called usual is not odd any more, neither window nor line. What is muted stays odd and is only not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from oddlog.feedback.answers import Answer, Standing, answered, apply
from oddlog.incidents import pattern_of
from oddlog.pipeline.judging.company import in_company
from oddlog.pipeline.judging.episodes import Episode
from oddlog.pipeline.judging.newcomers import Newcomers
from oddlog.pipeline.judging.odd import OddWindows, odd_index, patterns_of
from oddlog.pipeline.judging.since_deploy import SinceDeploy
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.learning.known import Known
from oddlog.templates import Matcher
from oddlog.types import F64, I8, I64, OVERFLOW, Bool, Incident, Windows, to_datetime

SHOWN, USUAL, MUTED, DEPLOYED, LEARNING = range(5)  # what becomes of an odd window or line
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
    deployed : OddWindows
        Those that are odd for nothing but what deployments brought.

    """

    verdict: pl.DataFrame
    shown: OddWindows
    hidden: OddWindows
    odd: OddWindows
    usual: Windows
    deployed: OddWindows

    @property
    def told(self) -> Windows:
        """Windows whose lines are told with them, and not by themselves."""
        return Windows.concat([self.shown.windows, self.hidden.windows])


@dataclass(frozen=True)
class Rated:
    """What the rates view says after the answers: episodes to show, covered ones, and its verdicts."""

    shown: list[Episode]
    hidden: list[Episode]
    scores: pl.DataFrame


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
    newcomers : Newcomers or None
        Services that are new, and not odd: live only.

    """

    standing: Standing
    matcher: Matcher
    deployed: SinceDeploy = field(default_factory=SinceDeploy)
    newcomers: Newcomers | None = None

    def __bool__(self) -> bool:
        return bool(self.standing or self.deployed.found or self.newcomers)

    def answered(self, row: int) -> bool:
        """Return whether somebody has called a type never seen in training usual, or muted it."""
        return self.standing.type(self.matcher.key_of(row)) is not None

    def judge(self, view: View, windows: Windows, verdict: pl.DataFrame | None = None) -> Judged:
        """Return the verdicts of `windows` [w] after the answers; before them, `verdict` if it is given."""
        verdict = view.verdicts(windows) if verdict is None else verdict
        if not self:
            odd = OddWindows.of(view, windows, verdict)
            nothing = Windows.empty(windows.numbers.shape[1])
            none = OddWindows.of(view, nothing, verdict.clear())
            return Judged(verdict, odd, none, odd, nothing, none)
        odd, index, verdict = self._odd(view, windows, verdict)
        becomes = self.becomes(odd)
        still = verdict["is_anomaly"].to_numpy().copy()
        still[index[(becomes == USUAL) | (becomes == LEARNING)]] = False
        shown, hidden, odd_still, usual, deployed = (
            odd.take(np.flatnonzero(mask))
            for mask in (
                becomes == SHOWN,
                (becomes == USUAL) | (becomes == MUTED),
                becomes != USUAL,
                becomes == USUAL,
                becomes == DEPLOYED,
            )
        )
        shown = replace(shown, n_dropped=odd.n_dropped)
        return Judged(_with_odd(verdict, still), shown, hidden, odd_still, usual.windows, deployed)

    def labels(self, view: View, windows: Windows) -> I8:
        """Return what people have said of the windows [w] that `view` calls odd: 0 usual, 1 anomalous, -1 nothing."""
        odd, index, _ = self._odd(view, windows, view.verdicts(windows))
        label = np.full(len(windows), -1, np.int8)
        label[index[self.becomes(odd) == USUAL]] = 0
        said = [one is not None and one.answer == "anomalous" for one in self._answers(odd)]
        label[index[np.array(said, np.bool_)]] = 1
        return label

    def lines(self, lines: pl.DataFrame, usual: Windows) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the verdicts of a partition's lines after the answers: all of them, those to show, those covered.

        `lines` is what `verdicts.line_verdicts` returns. A line that is odd by itself is covered if its type is, or
        if it stands in a window that a person called `usual` (`Judged.usual`).
        """
        odd = lines["is_anomaly"].to_numpy()
        if not self or not odd.any():
            return lines, lines, lines.clear()
        there = pl.DataFrame({"source": usual.source, "line": usual.line}).unique()
        inside = lines.join(there.with_columns(inside=True), on=["source", "line"], how="left", maintain_order="left")
        becomes = np.where(inside["inside"].is_not_null().to_numpy(), USUAL, self._lines_become(lines, odd))
        covered = (becomes == USUAL) | (becomes == MUTED)
        return (
            _with_odd(lines, odd & (becomes != USUAL)),
            _with_odd(lines, odd & (becomes == SHOWN)),
            _with_odd(lines, odd & covered),
        )

    def rates(self, episodes: Sequence[Episode], told: Sequence[Incident], scores: pl.DataFrame) -> Rated:
        """Return what the rates view says after the answers; `told` are the incidents of its episodes."""
        said = [self.standing.incident(one) for one in told]
        becomes = [SHOWN if one is None else _BECOMES.get(one.answer, SHOWN) for one in said]
        odd = {key for one, what in zip(told, becomes, strict=True) if what != USUAL for key in one.keys}
        usual = {key for one, what in zip(told, becomes, strict=True) if what == USUAL for key in one.keys} - odd
        calm = pl.col("key").is_in(list(usual))
        return Rated(
            [one for one, what in zip(episodes, becomes, strict=True) if what == SHOWN],
            [one for one, what in zip(episodes, becomes, strict=True) if what != SHOWN],
            scores.with_columns(pl.col("is_anomaly") & ~calm) if usual else scores,
        )

    def incidents(self, shown: Sequence[Incident], hidden: Sequence[Incident]) -> tuple[list[Incident], list[Incident]]:
        """Return the incidents to show and those that are covered, each with what was said of it."""
        shown, also_hidden = apply(self.standing, shown)
        covered = [self._told(incident) for incident in hidden] + also_hidden
        return shown, sorted(covered, key=lambda one: one.order)

    def _told(self, incident: Incident) -> Incident:
        """Return a covered incident with the answer that covers it."""
        candidates = [self.standing.last(one) for one in (incident.pattern, *incident.patterns)]
        candidates += [self.standing.type(int(key, 16)) for key in incident.new_types]
        quiet = [one for one in candidates if one is not None and one.answer in _BECOMES]
        return answered(incident, quiet[0]) if quiet else incident

    def _odd(self, view: View, windows: Windows, verdict: pl.DataFrame) -> tuple[OddWindows, I64, pl.DataFrame]:
        """Return the odd windows, where they stand [x], and all verdicts, with those odd again that were confirmed.

        What was odd again and again in training is no news; where a person has confirmed its pattern, it is.
        """
        words = {given[-1].answer for given in self.standing.of_pattern.values()}
        if len(view.known.oddity) and "anomalous" in words:
            calm = np.flatnonzero(~verdict["is_anomaly"].to_numpy())
            threshold = verdict["threshold"].to_numpy()[calm]
            bare = replace(view, known=Known.nothing()).verdicts(windows.take(calm), threshold)
            found = self._answers(OddWindows.of(view, windows.take(calm), bare))
            said = np.array([one is not None and one.answer == "anomalous" for one in found], np.bool_)
            confirmed = odd_index(bare)[said]
            place = np.arange(len(verdict))
            place[calm[confirmed]] = len(verdict) + confirmed
            verdict = pl.concat([verdict, bare])[place]
        return OddWindows.of(view, windows, verdict), odd_index(verdict), verdict

    def becomes(self, odd: OddWindows) -> I64:
        """Return what becomes of each odd window [x]: `SHOWN`, `USUAL`, `MUTED`, `DEPLOYED` or `LEARNING`."""
        found = self._answers(odd)
        becomes = np.array([SHOWN if one is None else _BECOMES.get(one.answer, SHOWN) for one in found], np.int64)
        unanswered = np.flatnonzero(np.array([one is None for one in found], np.bool_))
        becomes[unanswered] = self._without_excused(odd.view, odd.windows.take(unanswered), odd.threshold[unanswered])
        return becomes

    def _answers(self, odd: OddWindows) -> list[Answer | None]:
        """Return the answer to each odd window's pattern [x]."""
        patterns, ends = patterns_of(self.matcher, odd), odd.windows.end.tolist()
        return [self.standing.pattern(one, to_datetime(end)) for one, end in zip(patterns, ends, strict=True)]

    def _without_excused(self, view: View, windows: Windows, threshold: F64) -> I64:
        """Return what becomes of each window [w] for the excused types in it.

        They are taken out kind by kind, the usual ones first; a window that is then not odd any more is covered.
        """
        becomes = np.full(len(windows), SHOWN)
        excuse = self._excuses(windows.template, windows.end[windows.window_of_event])
        if self.newcomers:
            excuse[(excuse == SHOWN) & self.newcomers.excuses(windows.service, windows.template)] = LEARNING
        for kind in (USUAL, MUTED, DEPLOYED, LEARNING):
            out = (excuse != SHOWN) & (excuse <= kind)
            holds = np.zeros(len(windows), np.bool_)
            holds[windows.window_of_event[out & (excuse == kind)]] = True
            asked = np.flatnonzero(holds & (becomes == SHOWN))
            if len(asked):
                rest = without(windows, out).take(asked)
                still = view.verdicts(rest, threshold[asked])["is_anomaly"].to_numpy() & (rest.lengths > 0)
                becomes[asked[~still & self._in_company(view, windows.take(asked))]] = kind
        return becomes

    def _in_company(self, view: View, windows: Windows) -> Bool:
        """Return of which windows [w] all types have stood beside those that were called usual; see `company`."""
        if view.cut.by != "session":
            return np.ones(len(windows), np.bool_)
        k = len(self.matcher.templates)
        new = np.unique(windows.template[(windows.template >= k) & (windows.template != OVERFLOW)]).tolist()
        rows = [row for row in new if row not in self.deployed.excused and self.answered(row)]
        return in_company(self.standing, self.matcher, windows, rows)

    def _excuses(self, template: np.ndarray, end_us: I64) -> I64:
        """Return why each event [e] of a type never seen in training is excused; `SHOWN` where it is not."""
        k = len(self.matcher.templates)
        excuse = np.full(len(template), SHOWN)
        for row, at in _by_row(template, (template >= k) & (template != OVERFLOW)):
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
        for row, at in _by_row(template, odd):
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


def _by_row(template: np.ndarray, which: Bool) -> Iterator[tuple[int, I64]]:
    """Yield each type among `which` [e] of the events, and where it stands."""
    at = np.flatnonzero(which)
    order = at[np.argsort(template[at], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(template[order])) + 1) if len(order) else ():
        yield int(template[part[0]]), part


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
                f"{'is' if len(those) == 1 else 'are'} not shown; "
                f"oddlog detect --all shows {'it' if len(those) == 1 else 'them'}."
            )
    return notes


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
