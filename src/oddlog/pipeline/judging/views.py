"""A view is one way of cutting the events into windows, with the detectors and the calibration that judge them.

A model has a view of sessions (or, where there are none, of stretches of time or of so many lines), one of the
entities if they are asked for, and the `EventView` of single lines (`lines`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog import plugins
from oddlog.calibration import Calibrator
from oddlog.explain import Oddity, Usual, leading, oddities
from oddlog.pipeline.learning.distinct import distinct, reads_hash
from oddlog.pipeline.learning.known import Known
from oddlog.types import (
    CLOSED_BY,
    F64,
    I64,
    NO_TIME,
    SCORES,
    TIME,
    U64,
    Bool,
    Context,
    Detector,
    State,
    Tally,
    Windows,
)
from oddlog.windows import Closing, SessionChoice, Windower

USUAL_RATE = 1e-3  # false alarms among usual windows and lines, where no number a day is asked for
PARTIAL = (CLOSED_BY.index("open"), CLOSED_BY.index("headless"))
NEWS = "new-event"  # the one member whose opinion of an unfinished window is worth hearing: what is there, is there


@dataclass(frozen=True)
class Cut:
    """How a view's windows are cut: by what (`choice`), into sessions, stretches of time or counts of lines.

    `beside` is the choice of another view: then only lines that name no session there are cut.
    """

    by: Literal["session", "time", "count"]
    choice: SessionChoice
    size: int = 0
    closing: Closing | None = None
    beside: SessionChoice | None = None

    @property
    def noun(self) -> str:
        """The plural of what the windows are, for people."""
        return "sessions" if self.by == "session" else "windows"

    def windower(self, tally: Tally, **bounds: int) -> Windower:
        """Return a new windower; `bounds` are its ``lateness_us``, ``max_open`` and ``max_held``."""
        idle_us = self.closing.idle_us if self.closing else None
        ends = self.closing.end_templates if self.closing else frozenset()
        return Windower(by=self.by, size=self.size, idle_us=idle_us, end_templates=ends, tally=tally, **bounds)

    def partition(self) -> pl.Expr:
        """Return what events must have in common to lie in one partition: never less than their window."""
        group = pl.col("session").hash()
        if self.by == "session":
            # A line that names no session is judged alone, and needs to lie beside no other.
            return pl.when(pl.col("session").is_null()).then(pl.col("line").hash()).otherwise(group)
        if self.by == "count":
            return group
        return group + pl.col("time_us").floordiv(self.size).cast(pl.UInt64, wrap_numerical=True).hash()


@dataclass(frozen=True)
class View:
    """One way of cutting, with its fitted members, their calibration and its threshold.

    Attributes
    ----------
    name : str
        "sessions", "windows" or "entities".
    cut : Cut
        How windows are cut.
    members : tuple of Detector
        The detectors: those whose calibrated scores make the verdict, and those that are asked only what they make
        of a window that is odd, and why.
    calibrator : Calibrator
        Scores → p-values, learned from usual windows that the members had not learned from; it knows who votes.
    threshold : float
        Of the combined score: above it a window is odd.
    usual : Usual
        What is told about usual windows in reasons.
    known : Known
        What was odd in training already, time and again.
    rate : float
        The false-alarm rate that was asked for; at most this p-value makes a member call a window odd.
    absent : frozenset of int
        Types whose sources were not given: that they are missing is no news, and makes nothing odd.

    """

    name: str
    cut: Cut
    members: tuple[Detector, ...]
    calibrator: Calibrator
    threshold: float
    usual: Usual
    known: Known
    rate: float = USUAL_RATE
    absent: frozenset[int] = frozenset()

    @property
    def voting(self) -> tuple[str, ...]:
        """The names of the members that make the verdict."""
        return tuple(one.name for one, votes in zip(self.members, self.calibrator.votes, strict=True) if votes)

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the members that do not vote."""
        return tuple(one.name for one, votes in zip(self.members, self.calibrator.votes, strict=True) if not votes)

    def knowing(self, texts: Sequence[str]) -> Self:
        """Return the view with members that know the texts of types unseen by the model, of rows k and on."""
        return replace(self, members=tuple(_knowing(member, texts) for member in self.members))

    def scores(self, windows: Windows, *, shown: bool = False) -> F64:
        """Return each member's score of each window [m, w]; unfinished windows get an opinion from news only.

        Members that do not vote have no opinion (NaN) unless they are asked: `shown`.
        """
        asked = self.calibrator.votes | shown
        scores = member_scores(self.members, windows, len(self.usual.share), asked)
        unheard = np.flatnonzero(np.isin(windows.closed_by, PARTIAL))
        if self.cut.by != "session" and len(unheard):
            # Part of a stretch may hold too much already, but not yet too little.
            short = [_falls_short(found) for found in self.oddities(windows.take(unheard))]
            unheard = unheard[np.array(short, np.bool_)]
        for member, row in zip(self.members, scores, strict=True):
            if member.name != NEWS:
                row[unheard] = np.nan
        return scores

    def member_p(self, windows: Windows) -> dict[str, F64]:
        """Return the p-value [w] of each member by name, of those that do not vote too; NaN: no opinion."""
        p_value = self.calibrator.member_p(self.scores(windows, shown=True))
        return {member.name: row for member, row in zip(self.members, p_value, strict=True)}

    def judge(
        self, windows: Windows, scores: F64 | None = None, *, above: F64 | float | None = None
    ) -> tuple[F64, F64]:
        """Return the combined score and the p-value [w]; what is odd in known ways only is no rarer than these.

        `scores` [m, w] are those of the members, for whoever knows better ones of windows learned from; what is not
        `above` this threshold, the learned one if none is given, is not looked at for known ways.
        """
        scores = self.scores(windows) if scores is None else scores
        combined, p_value = self.calibrator.combined(scores), self.calibrator.p_value(scores)
        suspect = np.flatnonzero(_above(combined, self.threshold if above is None else above))
        if len(suspect) and self.absent:
            every = oddities(windows.take(suspect), contributions(self.members, windows.take(suspect)), self.usual)
            lacks = [bool(one) and not self._here(leading(one)) for one in every]
            combined[suspect[lacks]], p_value[suspect[lacks]] = 0.0, 1.0
            suspect = suspect[np.logical_not(lacks)]
        if len(suspect) and len(self.known.oddity):
            floor = self.known.floor(self.oddities(windows.take(suspect)))
            raised, rate = suspect[floor > p_value[suspect]], floor[floor > p_value[suspect]]
            levels, level = np.unique(rate, return_inverse=True)
            combined[raised] = np.array([self.calibrator.threshold(one) for one in levels.tolist()])[level]
            p_value[raised] = rate
        return combined, p_value

    def oddities(self, windows: Windows) -> list[list[Oddity]]:
        """Return what makes each window [w] odd, the weightiest first."""
        found = oddities(windows, contributions(self.members, windows), self.usual)
        return [self._here(one) for one in found] if self.absent else found

    def _here(self, found: list[Oddity]) -> list[Oddity]:
        """Return the oddities without types that are missing because their sources are."""
        return [one for one in found if one.seen or one.template not in self.absent]

    def verdicts(self, windows: Windows, threshold: F64 | None = None) -> pl.DataFrame:
        """Return `types.SCORES` [w], by another `threshold` of each window [w] than the learned one if it is given."""
        return self.framed(windows, *self.judge(windows, above=threshold), threshold)

    def framed(self, windows: Windows, combined: F64, p_value: F64, threshold: F64 | None = None) -> pl.DataFrame:
        """Return `types.SCORES` [w] of windows that were judged.

        By another threshold than the learned one, p-values are so many times higher or lower that those of what is odd
        lie below the same rate.
        """
        if threshold is None:
            threshold = np.full(len(windows), self.threshold)
        else:
            p_value = np.minimum(p_value * self._times_as_many(threshold), 1.0)
        times = {name: _times(time_us) for name, time_us in (("start", windows.start), ("end", windows.end))}
        columns = {
            "key": windows.key,
            **times,
            "n_events": pl.Series(windows.lengths).cast(pl.UInt32),
            "score": combined,
            "p_value": p_value,
            "threshold": threshold,
            "is_anomaly": _above(combined, threshold),
        }
        return pl.DataFrame(columns, schema=SCORES)

    def _times_as_many(self, threshold: F64) -> F64:
        """Return how many times as many usual windows lay beyond the learned threshold as beyond each of these [w]."""
        each, of = np.unique(threshold, return_inverse=True)
        rates = self.calibrator.rates_beyond(np.append(each, self.threshold))
        times: F64 = (rates[-1] / rates[:-1])[of]
        return times

    def states(self) -> dict[str, State]:
        """Return the parts of the view, by file name."""
        closing = self.cut.closing.to_state() if self.cut.closing else None
        meta = {
            "members": [member.name for member in self.members],
            "threshold": self.threshold,
            "by": self.cut.by,
            "size": self.cut.size,
            "choice": _told(self.cut.choice),
            "has_closing": closing is not None,
        }
        # Models of before there were these keep their id.
        if self.cut.beside is not None:
            meta["beside"] = _told(self.cut.beside)
        if self.rate != USUAL_RATE:
            meta["rate"] = self.rate
        parts = {f"{self.name}.{member.name}": member.state() for member in self.members}
        parts[f"{self.name}.calibration"] = self.calibrator.state()
        parts[f"{self.name}.usual"] = self.usual.state()
        parts[f"{self.name}.known"] = self.known.state()
        if closing is not None:
            parts[f"{self.name}.closing"] = closing
        return {self.name: State(meta=meta)} | parts

    @classmethod
    def from_states(cls, name: str, states: Mapping[str, State], context: Context) -> Self:
        """Rebuild."""
        meta = states[name].meta
        closing = Closing.from_state(states[f"{name}.closing"]) if meta["has_closing"] else None
        choice = SessionChoice(**meta["choice"])
        beside = SessionChoice(**meta["beside"]) if meta.get("beside") else None
        members = tuple(
            plugins.load("oddlog.detectors", member).from_state(states[f"{name}.{member}"], context)
            for member in meta["members"]
        )
        return cls(
            name,
            Cut(meta["by"], choice, meta["size"], closing, beside),
            members,
            Calibrator.from_state(states[f"{name}.calibration"]),
            meta["threshold"],
            Usual.from_state(states[f"{name}.usual"]),
            Known.from_state(states[f"{name}.known"]),
            meta.get("rate", USUAL_RATE),
        )


def _above(combined: F64, threshold: F64 | float) -> Bool:
    """Return which values [w] lie above; NaN does not."""
    above: Bool = np.nan_to_num(combined, nan=-np.inf) > threshold
    return above


def _times(time_us: I64) -> pl.Series:
    times = pl.Series(time_us)
    return (times.replace(NO_TIME, None) if (time_us == NO_TIME).any() else times).cast(TIME)


def _knowing(member: Detector, texts: Sequence[str]) -> Detector:
    with_texts: Callable[[Sequence[str]], Detector] | None = getattr(member, "with_texts", None)
    return member if with_texts is None else with_texts(texts)


def _told(choice: SessionChoice) -> dict[str, str]:
    return {"kind": choice.kind, "value": choice.value}


def _falls_short(found: list[Oddity]) -> bool:
    """Return whether a window is odd for what it lacks rather than for what it holds."""
    lacking = sum(o.weight for o in found if o.seen < o.expected)
    return lacking >= sum(o.weight for o in found if o.seen >= o.expected)


def contributions(members: Sequence[Detector], windows: Windows) -> dict[str, NDArray[Any]] | None:
    """Return each type's part in the distance to the nearest usual window, if a member can tell."""
    for member in members:
        tell = getattr(member, "contributions", None)
        if tell is not None and len(windows):
            told = tell(windows)
            arrays = {
                name: np.asarray(getattr(told, name), np.int64) for name in ("window", "template", "usual", "seen")
            }
            differs = (arrays["usual"] != arrays["seen"]) & (arrays["template"] >= 0)
            kept = {"expected" if name == "usual" else name: array[differs] for name, array in arrays.items()}
            return kept | {"weight": told.contribution[differs]}
    return None


def _once(windows: Windows, hashes: U64) -> tuple[Windows, I64]:
    first, inverse = distinct(hashes)
    return windows.take(first), inverse


def member_scores(members: Sequence[Detector], windows: Windows, k: int, asked: Bool | None = None) -> F64:
    """Return each member's score of each window [m, w]; windows alike in what a member reads are scored once.

    Members that are not `asked` [m] say nothing: NaN.
    """
    scores = np.full((len(members), len(windows)), np.nan)
    alike: dict[frozenset[str], tuple[Windows, I64] | None] = {}
    for i, member in enumerate(members):
        if not len(windows) or (asked is not None and not asked[i]):
            continue
        if member.reads not in alike:
            hashes = reads_hash(windows, member.reads, k)
            alike[member.reads] = None if hashes is None else _once(windows, hashes)
        once = alike[member.reads]
        scores[i] = _of_windows(member, windows) if once is None else _of_windows(member, once[0])[once[1]]
    return scores


def _of_windows(member: Detector, windows: Windows) -> F64:
    """Return a member's scores of windows [w]; one that has ``score_windows`` need not score the events for it."""
    alone = getattr(member, "score_windows", None)
    found: F64 = member.score(windows).window if alone is None else alone(windows)
    return found
