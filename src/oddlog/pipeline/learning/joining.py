"""Which shown members join the verdict: rule 1, frozen before any labelled log was scored with it.

Usual windows that nobody has learned from are set against corrupted twins of theirs. No label is looked at, of
training or of test. Why so, and what came of it: docs/decisions/joining-rule.md. To change a constant below is to make
rule 2: models say by which rule they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oddlog.calibration import Calibrator, Tail, lowest_rate
from oddlog.pipeline.judging.views import member_scores
from oddlog.pipeline.learning.corrupting import corrupted
from oddlog.pipeline.learning.members import HELD_OUT, SHARES, Member, is_held_out, scores_of_whole, shares, voices_of
from oddlog.types import F64, I64, Bool, Windows

RULE = 1
GAIN = 0.02
"""Of the corrupted windows, averaged over the kinds, so many more must be found with the candidate."""
LOSS = 0.01
"""Of no kind may so many fewer be found."""
SLACK = 2.0
"""False alarms may exceed the rate by so many standard deviations of chance."""
LEAST_JUDGED = 200.0
"""Held-out usual windows that are needed to judge at all: half of them set the thresholds, half are corrupted."""
LEAST_TWINS = 50
"""Corrupted windows from which on a kind counts."""
MOST_CORRUPTED = 1_000
"""Usual windows that are corrupted."""
SEED = 0
"""Of the corruptions."""


@dataclass(frozen=True)
class Judged:
    """What the rule made of a candidate.

    Attributes
    ----------
    joined : bool
        Whether it votes.
    why : str
        In words.
    detected : mapping
        By kind of corruption, the share that is found without and with the candidate.
    false_alarms : pair of float
        Share of usual windows called odd without and with it.
    rate : float
        The false-alarm rate the thresholds were set to.

    """

    joined: bool
    why: str
    detected: dict[str, tuple[float, float]] = field(default_factory=dict)
    false_alarms: tuple[float, float] = (np.nan, np.nan)
    rate: float = np.nan

    def facts(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        facts: dict[str, Any] = {"joined": self.joined, "why": self.why, "rule": RULE}
        if self.detected:
            facts |= {"detected": self.detected, "false_alarms": self.false_alarms, "at_rate": self.rate}
        return facts


@dataclass(frozen=True)
class Trial:
    """What the rule looks at, once for all candidates.

    Attributes
    ----------
    setting : F64 [m, a]
        Scores of the usual windows that set thresholds: all but those of the later half of what is held out.
    can : Bool [m, a]
        Which of them each member was asked about without having learned from them.
    asked : F64 [m, b]
        Scores of the later half.
    twins : mapping of F64 [m, x]
        Of their corrupted twins, by kind.
    setting_weight, asked_weight : F64
        How many windows each stands for.
    tails : sequence of Tail
        Of each member, without the later half where its windows are whole.
    voices : I64 [m]
        Which voice each member speaks with.

    """

    setting: F64
    can: Bool
    setting_weight: F64
    asked: F64
    asked_weight: F64
    twins: dict[str, F64]
    tails: Sequence[Tail]
    voices: I64 | None = None

    def rate(self, votes: Bool, rate: float) -> float:
        """Return `rate`, or the lowest one that the windows of these voters can hold."""
        return max(rate, lowest_rate(float(self.setting_weight[self.can[votes].all(0)].sum())))

    def outcome(self, votes: Bool, rate: float) -> tuple[dict[str, float], float]:
        """Return the share of each kind of twins that those who vote find at `rate`, and their false alarms."""
        use = self.can[votes].all(0)
        verdict = Calibrator().fit_verdict(
            self.tails, votes, self.setting[:, use], self.setting_weight[use], self.voices
        )
        threshold = verdict.threshold(rate)

        def odd(scores: F64) -> Bool:
            found: Bool = np.nan_to_num(verdict.combined(scores), nan=-np.inf) > threshold
            return found

        false = float(self.asked_weight[odd(self.asked)].sum() / self.asked_weight.sum())
        return {kind: float(odd(scores).mean()) for kind, scores in self.twins.items()}, false


def hold(members: Sequence[Member], whole: Windows, fold: I64, place: I64, k: int) -> Trial | str:
    """Return the trial of the candidates among `members`, or why there can be none.

    Parameters
    ----------
    members : sequence of Member
        Voters and candidates.
    whole, fold : Windows, I64 [w]
        Usual whole windows, in order of time, and their stretches of it.
    place : I64 [w]
        The counted window that stands for each.
    k : int
        Templates of the model.

    """
    can = np.stack([(place >= 0) & one.asked[place] if one.counts else one.asked for one in members])
    late = (shares(whole.weight) == HELD_OUT) & (fold == fold.max(initial=0)) & can.all(0)
    index = np.flatnonzero(late)
    weight = whole.weight[index]
    if weight.sum() < LEAST_JUDGED:
        return f"{weight.sum():,.0f} held-out windows are too few to judge by (at least {LEAST_JUDGED:,.0f})"
    later = np.cumsum(weight) - weight / 2 >= weight.sum() / 2
    asked = index[later]
    masked = np.ones(len(whole), np.bool_)
    masked[asked] = False
    tails = [
        one.tail
        if one.counts or one.calibrated_on is not None
        else Tail.fit(np.where(masked, one.scores, np.nan), whole.weight)
        for one in members
    ]
    scores = np.stack([scores_of_whole(member, place) for member in members])
    chosen = asked[np.linspace(0, len(asked) - 1, min(MOST_CORRUPTED, len(asked))).astype(np.int64)]
    early = [member.early for member in members]
    twins = {
        kind: member_scores(early, made, k)
        for kind, (made, _) in corrupted(whole.take(chosen), whole, SEED, k).items()
        if len(made) >= LEAST_TWINS
    }
    if not twins:
        return "no kind of corruption makes enough windows that are not usual ones again"
    return Trial(
        scores[:, masked],
        can[:, masked],
        whole.weight[masked],
        scores[:, asked],
        whole.weight[asked],
        twins,
        tails,
        voices_of([member.name for member in members]),
    )


def judge(
    members: Sequence[Member], candidates: Sequence[str], trial: Trial | str, rate: float, n_whole: float
) -> dict[str, Judged]:
    """Say of each candidate whether it joins; the one that gains most is taken first, then the others tried again.

    Parameters
    ----------
    members : sequence of Member
        Voters and candidates.
    candidates : sequence of str
        Names of those that might join.
    trial : Trial or str
        What `hold` returned.
    rate : float
        False-alarm rate of the model.
    n_whole : float
        Weight of the usual whole windows.

    """
    if isinstance(trial, str):
        return {name: Judged(joined=False, why=trial) for name in candidates}
    votes = np.array([member.name not in candidates for member in members])
    judged: dict[str, Judged] = {}
    left = [i for i, member in enumerate(members) if member.name in candidates]
    while left:
        tried = {i: _judged(trial, votes, i, rate) for i in left}
        for i in left:
            tried[i] = _with_room(tried[i], members[i].name, rate, n_whole)
        judged |= {members[i].name: one for i, one in tried.items()}
        joining = [i for i in left if tried[i].joined]
        if not joining:
            break
        best = max(joining, key=lambda i: (_gain(tried[i].detected), -i))
        votes[best] = True
        left.remove(best)
    return judged


def _gain(detected: dict[str, tuple[float, float]]) -> float:
    return float(np.mean([found - before for before, found in detected.values()]))


def _judged(trial: Trial, votes: Bool, i: int, rate: float) -> Judged:
    more = votes.copy()
    more[i] = True
    rate = trial.rate(more, rate)
    without = trial.outcome(votes, rate)
    found, false = trial.outcome(more, rate)
    detected = {kind: (before, found[kind]) for kind, before in without[0].items()}
    gain, worst = _gain(detected), min(detected, key=lambda kind: detected[kind][1] - detected[kind][0])
    lost = detected[worst][0] - detected[worst][1]
    most = rate + SLACK * float(np.sqrt(rate / trial.asked_weight.sum()))
    says = f"of corrupted windows {gain:+.1%} found"
    if gain < GAIN:
        why = f"{says}; at least {GAIN:+.0%} are asked for"
    elif lost > LOSS:
        why = f"{says}, but {lost:.1%} fewer of kind {worst}; at most {LOSS:.0%} may be lost"
    elif false > most:
        why = f"{says}, but {false:.2%} of the usual windows are called odd; at most {most:.2%} may be"
    else:
        why = f"{says}, {false:.2%} of the usual windows called odd"
        return Judged(True, why, detected, (without[1], false), rate)  # noqa: FBT003 - the first field says it
    return Judged(False, why, detected, (without[1], false), rate)  # noqa: FBT003 - the same


def _with_room(judged: Judged, name: str, rate: float, n_whole: float) -> Judged:
    """Return that a candidate does not join if the verdict would be calibrated on too few windows for the rate."""
    n = n_whole * (1 - SHARES[-1]) if is_held_out(name) else n_whole
    lowest = lowest_rate(n)
    if not judged.joined or lowest <= rate:
        return judged
    why = (
        f"{judged.why}; but the {n:,.0f} windows that such a verdict is calibrated on hold 1 false alarm in "
        f"{1 / lowest:,.0f}, asked is 1 in {1 / rate:,.0f}"
    )
    return replace(judged, joined=False, why=why)
