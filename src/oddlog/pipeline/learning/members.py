"""From usual windows to fitted members, each with scores of windows that it has not learned from.

::

    reads types only         counted windows   five folds of time: fitted without each in turn, then on all
    reads more, "folds"      whole windows     the same
    reads more, "holdout"    whole windows     70 % learned from | 15 % when to stop | 15 % scored     by time
    reads more, "crossed"    whole windows     several networks at once, each blind to its own blocks of time

What costs minutes to fit is fitted once ("holdout", a class attribute `calibrates` of the detector); the price is that
its p-values stand on the last 15 % of the windows.

Who learns from labels is given the windows labelled anomalous too, never those of the stretch that is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from oddlog import plugins
from oddlog.calibration import Tail, crossfit
from oddlog.detectors import create
from oddlog.pipeline.learning.distinct import COUNTED, distinct, kept_apart, reads_hash
from oddlog.types import F64, I64, NO_TIME, Bool, Context, Detector, Windows

LEARNED_FROM, STOPPED_BY, HELD_OUT = range(3)
SHARES = (0.70, 0.85)  # of the time: until when windows are learned from, and until when they say when to stop


@dataclass(frozen=True)
class Member:
    """A fitted member.

    Attributes
    ----------
    name : str
        Of the detector.
    detector : Detector
        Fitted; what the model keeps.
    early : Detector
        Fitted to windows before the last stretch of time only: what can be asked of that stretch.
    scores : F64 [w]
        Of the usual windows, counted or whole, by members that had not learned from them; NaN elsewhere.
    asked : Bool [w]
        Which windows these are.
    counts : bool
        Whether they are the counted windows.
    tail : Tail
        Of the scores.
    anomalous : F64 [x]
        Of the windows labelled anomalous, by members that had not learned from them; NaN where there was none, and
        empty where the detector does not learn from labels.
    calibrated_on : float, optional
        How many usual windows the tail is of, where these are not the ones here (see `Calibrated`).

    """

    name: str
    detector: Detector
    early: Detector
    scores: F64
    asked: Bool
    counts: bool
    tail: Tail
    anomalous: F64 = field(default_factory=lambda: np.empty(0))
    calibrated_on: float | None = None


@dataclass(frozen=True)
class Calibrated:
    """A member that was trained elsewhere, and calibrated on more usual windows than there are here.

    Attributes
    ----------
    detector : Detector
        Trained.
    tail : Tail
        Of its scores of usual windows that nobody has learned from, of all sites.
    n_usual : float
        How many these are.

    """

    detector: Detector
    tail: Tail
    n_usual: float


@dataclass(frozen=True)
class Anomalous:
    """Windows [x] that are labelled anomalous, and the stretch of time that each stands in."""

    windows: Windows
    fold: I64


def reads_of(name: str) -> frozenset[str]:
    """Return what a detector looks at."""
    reads: frozenset[str] = plugins.load("oddlog.detectors", name).reads
    return reads


def reads_counts(name: str) -> bool:
    """Return whether a detector looks at nothing but how often each type stands in a window."""
    return reads_of(name) <= COUNTED


def needs_labels(name: str) -> bool:
    """Return whether a detector learns from windows labelled anomalous."""
    return str(plugins.load("oddlog.detectors", name).needs) == "labels"


def voices_of(names: Sequence[str]) -> I64:
    """Return which voice each member speaks with: those that read counts with one, every other with its own."""
    return np.array([0 if reads_counts(name) else 1 + i for i, name in enumerate(names)], np.int64)


def is_held_out(name: str) -> bool:
    """Return whether a detector is fitted once and calibrated on what it was not shown."""
    return calibrates(name) == "holdout"


def calibrates(name: str) -> str:
    """Return how a detector comes to scores of windows that it has not learned from, see the drawing above."""
    return str(getattr(plugins.load("oddlog.detectors", name), "calibrates", "folds"))


def shares(weight: F64) -> I64:
    """Return what each window [w], in order of time, is for: `LEARNED_FROM`, `STOPPED_BY` or `HELD_OUT`.

    >>> shares(np.ones(10)).tolist()
    [0, 0, 0, 0, 0, 0, 0, 1, 2, 2]
    """
    middle = (np.cumsum(weight) - weight / 2) / max(weight.sum(), 1e-12)
    share: I64 = np.searchsorted(np.array(SHARES), middle, side="right").astype(np.int64)
    return share


def fit_member(
    name: str,
    windows: Windows,
    folds: I64,
    context: Context,
    options: Mapping[str, Any] = MappingProxyType({}),
    anomalous: Anomalous | None = None,
    trained: Detector | Calibrated | None = None,
) -> Member:
    """Fit a member to usual windows [w], in order of time, counted or whole as it `reads_counts`.

    One that `needs_labels` is fitted to the `anomalous` windows too. One that was `trained` elsewhere, on no window of
    the last 15 %, is calibrated as it is; one that is `Calibrated` keeps its tail.
    """
    new = partial(create, name, context.seed, **options)
    given = anomalous if needs_labels(name) else None
    if trained is None and calibrates(name) == "crossed":
        return _crossed(name, new, windows, context)
    if trained is not None or is_held_out(name):
        last = int(folds.max(initial=0))
        return _held_out(name, new, windows, context, given, trained, last)
    return (
        _in_folds(name, new, windows, folds, context)
        if given is None
        else _labelled(name, new, windows, folds, context, given)
    )


def _in_folds(name: str, new: Callable[[], Detector], windows: Windows, folds: I64, context: Context) -> Member:
    made: list[Detector] = []

    def make() -> Detector:
        made.append(new())
        return made[-1]

    detector = new().fit(windows, context)
    scores = crossfit(make, windows, context, folds=folds)
    early = made[-1] if made else detector
    asked = np.full(len(windows), len(made) > 0)
    return Member(name, detector, early, scores, asked, reads_counts(name), Tail.fit(scores, windows.weight))


def _crossed(name: str, new: Callable[[], Detector], windows: Windows, context: Context) -> Member:
    """Fit one that scores the windows that it learns from out of fold by itself (its attribute `out_of_fold`)."""
    detector = new().fit(windows, context)
    scores: F64 = np.asarray(detector.out_of_fold, np.float64)  # type: ignore[attr-defined]
    tail = Tail.fit(scores, windows.weight)
    return Member(name, detector, detector, scores, ~np.isnan(scores), reads_counts(name), tail)


def _labelled(
    name: str, new: Callable[[], Detector], windows: Windows, folds: I64, context: Context, anomalous: Anomalous
) -> Member:
    made: list[Detector] = []

    def make() -> Detector:
        made.append(new())
        return made[-1]

    both = Windows.concat([windows, anomalous.windows])
    label = np.repeat(np.array([0, 1], np.int8), [len(windows), len(anomalous.windows)])
    detector = new().fit(both, context, label)
    every = crossfit(make, both, context, folds=np.concatenate([folds, anomalous.fold]), labels=label)
    scores = every[: len(windows)]
    early = made[-1] if made else detector
    tail = Tail.fit(scores, windows.weight)
    return Member(name, detector, early, scores, ~np.isnan(scores), reads_counts(name), tail, every[len(windows) :])


def _held_out(
    name: str,
    new: Callable[[], Detector],
    windows: Windows,
    context: Context,
    anomalous: Anomalous | None = None,
    trained: Detector | Calibrated | None = None,
    last: int = 0,
) -> Member:
    share = shares(windows.weight)
    once, of_window = _once_a_share(name, windows, share, context)
    part = np.empty(len(once), np.int64)
    part[of_window] = share
    validation = once.take(part == STOPPED_BY)
    learned, label, late = once.take(part == LEARNED_FROM), None, np.empty(0, np.bool_)
    if anomalous is not None:
        # What is labelled anomalous is learned from up to where the usual windows are held out; without times, up to
        # the last fold, which holds all of these.
        begins = windows.start[share == HELD_OUT].min(initial=np.iinfo(np.int64).max)
        late = anomalous.fold >= last if begins == NO_TIME else anomalous.windows.start >= begins
        some = anomalous.windows.take(~late)
        label = np.repeat(np.array([0, 1], np.int8), [len(learned), len(some)])
        learned = Windows.concat([learned, some])
    given = trained.detector if isinstance(trained, Calibrated) else trained
    detector = given or new().fit(learned, context, label, validation=validation if len(validation) else None)
    scores, asked = np.full(len(once), np.nan), share == HELD_OUT
    scores[part == HELD_OUT] = detector.score(once.take(part == HELD_OUT)).window
    scores = scores[of_window]
    told = np.full(len(late), np.nan)
    if anomalous is not None:
        told[late] = detector.score(anomalous.windows.take(late)).window
    if isinstance(trained, Calibrated):
        return Member(name, detector, detector, scores, asked, reads_counts(name), trained.tail, told, trained.n_usual)
    tail = Tail.fit(scores, windows.weight)
    return Member(name, detector, detector, scores, asked, reads_counts(name), tail, told)


def _once_a_share(name: str, windows: Windows, share: I64, context: Context) -> tuple[Windows, I64]:
    """Return the windows that differ in what the member reads, with weights, and each window's place there [w]."""
    hashes = reads_hash(windows, plugins.load("oddlog.detectors", name).reads, len(context.templates))
    if hashes is None:
        return windows, np.arange(len(windows))
    first, of_window = distinct(kept_apart(hashes, share))
    once = windows.take(first)
    weight: F64 = np.bincount(of_window, windows.weight, minlength=len(first)).astype(np.float64)
    return replace(once, weight=weight), of_window


def joint_scores(
    members: Sequence[Member], votes: Bool, place: I64, counted_weight: F64, whole_weight: F64
) -> tuple[F64, F64]:
    """Return the scores [m, x] of usual windows that every voting member was asked about, and their weights [x].

    These are counted windows if all who vote read counts, else whole windows.

    Parameters
    ----------
    members : sequence of Member
        [m]
    votes : Bool [m]
        Which of them vote. Of the others the scores are NaN where they belong to other windows.
    place : I64 [w]
        The counted window that stands for each whole window, -1 if none does.
    counted_weight, whole_weight : F64
        Of the counted and of the whole windows.

    """
    voters = [member for member, voting in zip(members, votes, strict=True) if voting]
    if all(member.counts for member in voters):
        rows = [member.scores if member.counts else np.full(len(counted_weight), np.nan) for member in members]
        return np.stack(rows), counted_weight
    asked = np.ones(len(whole_weight), np.bool_)
    for member in voters:
        asked &= (place >= 0) & member.asked[place] if member.counts else member.asked
    index = np.flatnonzero(asked)
    rows = [scores_of_whole(member, place)[index] for member in members]
    return np.stack(rows), whole_weight[index]


def scores_of_whole(member: Member, place: I64) -> F64:
    """Return a member's scores of the whole windows [w]; those who read counts have scored what stands for them."""
    return np.where(place >= 0, member.scores[place], np.nan) if member.counts else member.scores
