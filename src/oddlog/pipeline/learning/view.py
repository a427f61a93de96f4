"""From a view's windows to its members, calibration and threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from oddlog.calibration import Calibrator, lowest_rate
from oddlog.detectors import takes
from oddlog.detectors.new_event import NewEvent
from oddlog.detectors.trim import trim
from oddlog.errors import TooLittleDataError, UserError
from oddlog.explain import Usual, oddities
from oddlog.pipeline.judging.views import Cut, View, contributions
from oddlog.pipeline.learning.distinct import counts_hash, kept_apart
from oddlog.pipeline.learning.joining import Judged, hold, judge
from oddlog.pipeline.learning.known import Known
from oddlog.pipeline.learning.members import (
    Anomalous,
    Calibrated,
    Member,
    fit_member,
    joint_scores,
    needs_labels,
    reads_counts,
    scores_of_whole,
    voices_of,
)
from oddlog.pipeline.learning.whole import Whole
from oddlog.thresholds import DEFAULT_WAY, Way, best_f1
from oddlog.types import F64, I8, I64, U64, Bool, Context, Detector, Windows

FEWEST_WINDOWS = 10
FEWEST_FOR_CANDIDATES = 100  # below, 15 % of the windows are too few to tell rare from common
Recurring = Literal["usual", "odd"]
Options = Mapping[str, Mapping[str, Any]]  # of detectors by name: what goes to their constructors
Trained = Mapping[str, Detector | Calibrated]  # by name: members that were trained elsewhere, as sites do together
VALIDATION_SHARE = 0.15  # of the time, at its end: where labels choose the threshold


@dataclass(frozen=True)
class Learned:
    """A view, and what is told about how it was learned."""

    view: View | None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathered:
    """A view's finished windows, alike ones merged within each fold.

    Attributes
    ----------
    windows : Windows
        With weights.
    label : I8 [w]
        0 usual, 1 anomalous, -1 unknown.
    fold : I64 [w]
        Stretch of time each stands in.
    n_windows, n_open : float
        Finished and unfinished windows of the data.
    sampled_from : int
        Distinct windows there were, if not all were taken.
    hashes : U64 [w]
        Of the counts, see `distinct.counts_hash`.
    whole : Whole or None
        Windows as they were, for members that read more than counts.
    lasting : I64
        Types that unfinished windows hold which go on all through the data.

    """

    windows: Windows
    label: I8
    fold: I64
    n_windows: float
    n_open: float
    sampled_from: int = 0
    hashes: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    whole: Whole | None = None
    lasting: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def place(self, k: int) -> I64:
        """Return which of `windows` stands for each whole window [x], -1 if none does (a sample was taken)."""
        if self.whole is None or not len(self.windows):
            return np.full(0 if self.whole is None else len(self.whole.windows), -1)
        code = kept_apart(self.hashes, apart_by(self.fold, self.label))
        asked = kept_apart(counts_hash(self.whole.windows, k), apart_by(self.whole.fold, self.whole.label))
        order = np.argsort(code)
        at = order[np.searchsorted(code, asked, sorter=order).clip(max=len(code) - 1)]
        return np.where(code[at] == asked, at, -1)


def apart_by(fold: I64, label: I8) -> I64:
    """Return what keeps windows of equal counts apart [w]: their folds and their labels."""
    return fold * 4 + label.astype(np.int64) + 1


@dataclass(frozen=True)
class _Usual:
    """The windows to learn from: alike ones merged by their counts, and whole ones.

    Attributes
    ----------
    counted, whole : Windows
        [w] and [x]
    index, whole_index : I64
        Where they stand among all that were gathered.
    fold, whole_fold : I64
        Their stretches of time.
    place : I64 [x]
        Which of `counted` stands for each of `whole`, -1 if none does.
    anomalous, whole_anomalous : Anomalous
        What is labelled so, counted and whole, for those who learn from labels.

    """

    counted: Windows
    index: I64
    fold: I64
    whole: Windows
    whole_index: I64
    whole_fold: I64
    place: I64
    anomalous: Anomalous
    whole_anomalous: Anomalous

    @classmethod
    def of(cls, gathered: Gathered, keep: Bool, k: int) -> _Usual:
        """Return the windows to `keep` [w] of all that were gathered."""
        index = np.flatnonzero(keep)
        counted, fold = gathered.windows.take(index), gathered.fold[index]
        nothing = np.empty(0, np.int64)
        odd = Anomalous(gathered.windows.take(gathered.label == 1), gathered.fold[gathered.label == 1])
        if gathered.whole is None:
            return cls(counted, index, fold, Windows.empty(), nothing, nothing, nothing, odd, odd)
        place = gathered.place(k)
        usual = np.flatnonzero(np.where(place >= 0, keep[place], gathered.whole.label != 1))
        whole, at = gathered.whole.of(usual), np.cumsum(keep) - 1
        place = np.where(place >= 0, at[place], -1)[usual]
        labelled = gathered.whole.of(np.flatnonzero(gathered.whole.label == 1))
        whole_odd = Anomalous(labelled.windows, labelled.fold)
        return cls(counted, index, fold, whole.windows, usual, whole.fold, place, odd, whole_odd)

    def fit(self, name: str, context: Context, options: Options, trained: Trained) -> Member:
        """Return the fitted member."""
        of_it, there = options.get(name, {}), trained.get(name)
        if reads_counts(name):
            return fit_member(name, self.counted, self.fold, context, of_it, self.anomalous, there)
        return fit_member(name, self.whole, self.whole_fold, context, of_it, self.whole_anomalous, there)


def learn_view(
    name: str,
    cut: Cut,
    gathered: Gathered,
    context: Context,
    names: Sequence[str],
    rate: float,
    recurring: Recurring,
    concentration: F64 | None,
    say: Callable[[str, int], None],
    candidates: Sequence[str] = (),
    options: Options = MappingProxyType({}),
    way: Way = DEFAULT_WAY,
    trained: Trained = MappingProxyType({}),
) -> Learned:
    """Trim, fit, calibrate; a view of too few windows is not learned, and the facts say so.

    `names` vote; `candidates` are fitted and shown; `options` go to the constructors of detectors by name; the
    threshold is found in a `way`; who is `trained` already is calibrated only.
    """
    labelled = gathered.label == 1
    facts: dict[str, Any] = {
        "windows": gathered.n_windows,
        "unfinished": gathered.n_open,
        "distinct": len(gathered.windows),
        "sampled_from": gathered.sampled_from,
        "anomalous_by_label": float(gathered.windows.weight[labelled].sum()),
        "notes": [],
    }
    n_usual = gathered.windows.weight[~labelled].sum()
    if n_usual < FEWEST_WINDOWS:
        rest = f", since {facts['anomalous_by_label']:,.0f} are anomalous by label" if labelled.any() else ""
        facts["says"] = f"not learned: {n_usual:,.0f} finished {cut.noun} are too few (at least {FEWEST_WINDOWS}){rest}"
        return Learned(None, facts)
    if not (names := _with_labels_for(names, cut, facts, there_are=bool(labelled.any()))):
        return Learned(None, facts)
    say(f"trimming what looks odd among {cut.noun}", 0)
    k = len(context.templates)
    every = gathered.windows.take(~labelled)
    kept, report = trim(every, context, gathered.label[~labelled])
    facts["trimmed"] = float(every.weight[~kept].sum())
    facts["trimming"] = str(report)
    keep = ~labelled
    keep[~labelled] = kept
    usual = _Usual.of(gathered, keep, k)
    members = _fitted(usual, context, names, candidates, options, cut, facts, say, trained)
    judged: dict[str, Judged] = {}
    if shown := [member.name for member in members if member.name not in names]:
        say(f"trying {', '.join(shown)} on corrupted {cut.noun}", 0)
        trial = hold(members, usual.whole, usual.whole_fold, usual.place, k)
        judged = judge(members, shown, trial, rate, float(usual.whole.weight.sum()))
    voting = [member.name for member in members if member.name in names or judged[member.name].joined]
    votes = np.array([member.name in voting for member in members])
    scores, weight = joint_scores(members, votes, usual.place, usual.counted.weight, usual.whole.weight)
    calibrator = _verdict(members, votes, scores, weight, facts)
    threshold = way.of(calibrator, scores, weight, rate)
    if way.kind == "sigma":
        rate = calibrator.rate_above(threshold)
    facts |= {"members": voting, "rate": rate, "usual": float(usual.counted.weight.sum()), "threshold_by": str(way)}
    joining = {name: one.facts() for name, one in judged.items()}
    facts |= {"shown": [name for name in judged if name not in voting], "joining": joining}
    lowest = lowest_rate(calibrator.n_usual)
    if rate < lowest and way.kind != "sigma":
        facts["notes"].append(
            f"Too few usual {cut.noun} for this false-alarm rate: {calibrator.n_usual:,.0f} can hold 1 in "
            f"{1 / lowest:,.0f}, asked is 1 in {1 / rate:,.0f}. Beyond that the fitted tail decides."
        )
    told = Usual.learn(every, k, concentration)
    for news in (one.detector for one in members if isinstance(one.detector, NewEvent)):
        news.pass_over(gathered.lasting[told.share[gathered.lasting] == 0])
    known = Known.nothing()
    if recurring == "usual":
        trimmed = every.take(~kept)
        found = oddities(trimmed, contributions([member.detector for member in members], trimmed), told)
        known = Known.learn(every, gathered.fold[~labelled], np.flatnonzero(~kept), found, k)
    facts["recurring"] = len(known.oddity)
    detectors = tuple(member.detector for member in members)
    view = View(name, cut, detectors, calibrator, threshold, told, known, rate)
    if labelled.any():
        view = _with_labels(view, gathered, usual, members, facts)
    facts["threshold"] = view.threshold
    facts["says"] = _says(cut, facts)
    return Learned(view, facts)


def _with_labels_for(names: Sequence[str], cut: Cut, facts: dict[str, Any], *, there_are: bool) -> list[str]:
    """Return who can learn: without a window labelled anomalous, those that need no labels; the others are noted."""
    needing = [name for name in names if needs_labels(name)]
    facts["with_labels"] = needing if there_are else []
    if there_are or not needing:
        return list(names)
    why = (
        f"{' and '.join(needing)} learn{'s' if len(needing) == 1 else ''} from labels, and none of these {cut.noun} is"
    )
    why += " labelled anomalous"
    facts["notes"].append(f"{why}: left out here.")
    facts["says"] = f"not learned: {why}"
    return [name for name in names if name not in needing]


def whole_usual(gathered: Gathered, cut: Cut, context: Context) -> Windows:
    """Return the whole windows that are left to learn from when what looks odd is trimmed.

    Raises
    ------
    TooLittleDataError
        If they are too few.

    """
    usual = Windows.empty()
    if len(gathered.windows):
        keep, _ = trim(gathered.windows, context, gathered.label)
        usual = _Usual.of(gathered, keep, len(context.templates)).whole
    if len(usual) < FEWEST_FOR_CANDIDATES:
        raise TooLittleDataError(
            f"{len(usual):,} usual {cut.noun} are too few to learn from here (at least {FEWEST_FOR_CANDIDATES}).",
            "Give more logs, or cut smaller windows: --session none --window 20.",
        )
    return usual


def _fitted(
    usual: _Usual,
    context: Context,
    names: Sequence[str],
    candidates: Sequence[str],
    options: Options,
    cut: Cut,
    facts: dict[str, Any],
    say: Callable[[str, int], None],
    trained: Trained,
) -> list[Member]:
    """Return the fitted members, those of `names` first; a candidate that cannot be fitted is left out, and noted."""
    members = []
    for name in names:
        say(f"learning {name} on {cut.noun}", 0)
        members.append(usual.fit(name, context, _told(name, options, cut, say), trained))
    for name in candidates:
        say(f"learning {name} on {cut.noun}", 0)
        try:
            if len(usual.whole) < FEWEST_FOR_CANDIDATES:
                facts["notes"].append(
                    f"{name} is not learned: {len(usual.whole):,} usual {cut.noun} are too few "
                    f"(at least {FEWEST_FOR_CANDIDATES})."
                )
                continue
            members.append(usual.fit(name, context, _told(name, options, cut, say), trained))
        except UserError as error:
            facts["notes"].append(f"{name} is not learned: {error}")
    return members


def _told(name: str, options: Options, cut: Cut, say: Callable[[str, int], None]) -> Options:
    """Return the options with the telling of how training goes, for those who train for long."""
    if not takes(name, "progress"):
        return options

    def progress(step: int, steps: int, loss: float) -> None:
        say(f"learning {name} on {cut.noun}: step {step:,} of {steps:,}, loss {loss:.4g}", 0)

    return {**options, name: {**options.get(name, {}), "progress": progress}}


def _verdict(members: Sequence[Member], votes: Bool, scores: F64, weight: F64, facts: dict[str, Any]) -> Calibrator:
    """Return the calibrated verdict, and note if it stands on usual windows of all sites: if its one member does."""
    voices = voices_of([member.name for member in members])
    calibrator = Calibrator().fit_verdict([member.tail for member in members], votes, scores, weight, voices)
    voters = [member for member, voting in zip(members, votes, strict=True) if voting]
    if len(voters) == 1 and voters[0].calibrated_on is not None:
        calibrator.n_usual = facts["pooled"] = voters[0].calibrated_on
    return calibrator


def _with_labels(
    view: View, gathered: Gathered, usual: _Usual, members: Sequence[Member], facts: dict[str, Any]
) -> View:
    """Return the view with the threshold that has the best F1 on the validation share of the time.

    Windows that were learned from have the scores of members that had not learned from them; those that a voter
    has no such score of are left out.
    """
    voters = [(i, member) for i, member in enumerate(members) if view.calibrator.votes[i]]
    counts = all(member.counts for _, member in voters) or gathered.whole is None
    windows, label, learned = gathered.windows, gathered.label, usual.index
    odd = np.flatnonzero(label == 1)  # where the anomalous windows stand, and which counted ones stand for them
    if not counts and gathered.whole is not None:
        windows, label, learned = gathered.whole.windows, gathered.whole.label, usual.whole_index
        at = np.append(np.cumsum(gathered.label == 1) - 1, -1)[gathered.place(len(view.usual.share))]
        place, odd = at[label == 1], np.flatnonzero(label == 1)
    late = _late(windows) & (label >= 0)
    scores = np.full((len(members), len(windows)), np.nan)
    scores[:, late] = view.scores(windows.take(late))
    for i, member in voters:
        asked = member.asked if counts or not member.counts else (usual.place >= 0) & member.asked[usual.place]
        own = member.scores if counts else scores_of_whole(member, usual.place)
        scores[i, learned[asked]] = own[asked]
        late[learned[~asked]] = False
        if len(member.anomalous):
            told = np.append(member.anomalous, np.nan)
            scores[i, odd] = told[:-1] if counts or not member.counts else told[place]
            late[odd[np.isnan(scores[i, odd])]] = False
    for one, what in ((1, "anomalous"), (0, "usual")):
        if not (label[late] == one).any():
            facts["notes"].append(
                f"No {view.cut.noun} of the last {VALIDATION_SHARE:.0%} are labelled {what}: "
                "the threshold is that without labels."
            )
            return view
    windows = windows.take(late)
    combined, _ = view.judge(windows, scores[:, late])
    chosen = best_f1(combined, label[late], windows.weight)
    facts["validation_f1"] = chosen.params.get("f1")
    return replace(view, threshold=chosen.value)


def _late(windows: Windows) -> Bool:
    """Return which windows [w] stand in the last share of the time."""
    order = np.argsort(windows.start, kind="stable")
    share = np.cumsum(windows.weight[order]) / windows.weight.sum()
    late = np.zeros(len(order), np.bool_)
    late[order[share > 1 - VALIDATION_SHARE]] = True
    return late


def _says(cut: Cut, facts: dict[str, Any]) -> str:
    parts = [f"{facts['windows']:,.0f} finished {cut.noun}"]
    if facts["unfinished"]:
        parts.append(f"{facts['unfinished']:,.0f} unfinished ones left out")
    if facts["sampled_from"]:
        parts.append(f"a sample of {facts['distinct']:,} of {facts['sampled_from']:,} distinct ones")
    if facts["anomalous_by_label"]:
        told = f"{' and '.join(facts['with_labels'])} learned from" if facts["with_labels"] else "left out"
        parts.append(f"{facts['anomalous_by_label']:,.0f} anomalous by label {told}")
    if facts["trimmed"]:
        parts.append(f"{facts['trimmed']:,.0f} trimmed as odd ({facts['trimmed'] / max(facts['windows'], 1):.1%})")
    if facts["recurring"]:
        parts.append("what recurs among these is taken as usual (--recurring odd: it is not)")
    shown = f" (shown beside them: {', '.join(facts['shown'])})" if facts["shown"] else ""
    pooled = f" (calibrated on {facts['pooled']:,.0f} of all sites)" if "pooled" in facts else ""
    return f"{', '.join(parts)}; {', '.join(facts['members'])}{pooled}{shown}; {_odd(facts)}"


def _odd(facts: dict[str, Any]) -> str:
    """Return what is odd: how it was asked for, and which share of the usual windows that is."""
    if "validation_f1" in facts:
        return f"odd is what tells the labelled windows apart best (F1 {facts['validation_f1']:.3f})"
    way, share = Way.parse(facts["threshold_by"]), f"1 in {1 / facts['rate']:,.0f}"
    if way.kind == "sigma":
        return f"odd is beyond mean + {way.k:g} standard deviations, as {share} usual ones are"
    return f"odd is {share}" + (", by counting" if way.kind == "quantile" else "")
