"""pipeline/learning/joining.py: who joins the verdict, by corrupted usual windows alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_members import Ageing, Chance, Fake, register
from made_windows import windows_of
from oddlog.calibration import Tail
from oddlog.detectors.new_event import NewEvent
from oddlog.pipeline.learning import joining
from oddlog.pipeline.learning.joining import Trial, hold, judge
from oddlog.pipeline.learning.members import Member, fit_member
from oddlog.testing import context
from oddlog.types import Windows

N = 4_000


def cycles(n: int = N, seed: int = 3) -> Windows:
    """Return sessions that begin (0), go round 1 2 3 once to four times, and end (4): counts say little of the order."""
    draw = np.random.default_rng(seed)
    return windows_of([[0, *[1, 2, 3] * int(times), 4] for times in draw.integers(1, 5, n)])


def trial_of(windows: Windows, *names: str) -> tuple[list[Member], Trial | str]:
    fold = np.arange(len(windows)) * 5 // len(windows)
    members = [fit_member(name, windows, fold, context(5)) for name in ("new-event", *names)]
    return members, hold(members, windows, fold, np.arange(len(windows)), 5)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Fake, Chance, Ageing)


def test_the_constants_are_those_that_were_frozen():
    page = Path(__file__).resolve().parents[3] / "docs" / "decisions" / "joining-rule.md"
    written = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert joining.RULE == 1
    assert {name: str(getattr(joining, name)) for name in written} == written
    assert set(written) == {"GAIN", "LOSS", "SLACK", "LEAST_JUDGED", "LEAST_TWINS", "MOST_CORRUPTED", "SEED"}


def test_a_member_that_finds_what_the_voters_cannot_joins():
    members, trial = trial_of(cycles(), "pairs")
    told = judge(members, ["pairs"], trial, 0.01, N)["pairs"]
    assert told.joined, told.why
    without, beside = told.detected["swap"]
    assert without < 0.05
    assert beside > 0.95
    assert told.false_alarms[1] < 0.02
    assert told.facts() | {"detected": 0, "why": 0} == {
        "joined": True,
        "why": 0,
        "rule": 1,
        "detected": 0,
        "false_alarms": told.false_alarms,
        "at_rate": 0.01,
    }


def test_a_member_that_says_nothing_does_not():
    members, trial = trial_of(cycles(), "chance")
    told = judge(members, ["chance"], trial, 0.01, N)["chance"]
    assert not told.joined
    assert re.fullmatch(r"of corrupted windows [+-][\d.]+% found; at least \+2% are asked for", told.why)


def test_a_member_that_takes_what_is_late_for_odd_does_not():
    members, trial = trial_of(cycles(), "ageing")
    told = judge(members, ["ageing"], trial, 0.01, N)["ageing"]
    assert not told.joined
    assert "of the usual windows are called odd" in told.why
    assert told.false_alarms[1] > 0.5


def test_the_voters_alone_are_measured_by_all_windows_and_a_held_out_member_by_the_held_out_ones():
    members, trial = trial_of(cycles(), "pairs")
    assert not isinstance(trial, str)
    assert trial.can.sum(1).tolist() == [3_700, 300]
    assert trial.rate(np.array([True, False]), 1e-4) == 2.5 / 3_700
    assert trial.rate(np.array([True, True]), 1e-4) == 2.5 / 300
    assert judge(members, ["pairs"], trial, 1e-4, N)["pairs"].rate == 2.5 / 300


def test_of_two_that_know_the_same_one_joins(monkeypatch: pytest.MonkeyPatch):
    class Twin(Fake):
        name = "twin"

    register(monkeypatch, Fake, Chance, Twin)
    members, trial = trial_of(cycles(), "chance", "pairs", "twin")
    told = judge(members, ["chance", "pairs", "twin"], trial, 0.01, N)
    assert [told[name].joined for name in ("chance", "pairs", "twin")] == [False, True, False]


def test_no_one_joins_where_the_held_out_windows_cannot_hold_the_rate():
    members, trial = trial_of(cycles(), "pairs")
    told = judge(members, ["pairs"], trial, 1e-3, N)["pairs"]
    assert not told.joined
    assert told.why.endswith(
        "the 600 windows that such a verdict is calibrated on hold 1 false alarm in 240, asked is 1 in 1,000"
    )


def test_too_few_windows_are_not_judged_by():
    members, trial = trial_of(cycles(400), "pairs")
    assert trial == "60 held-out windows are too few to judge by (at least 200)"
    assert judge(members, ["pairs"], trial, 0.01, 400)["pairs"].why == trial


def test_where_nothing_can_be_corrupted_nothing_is_judged():
    _, trial = trial_of(windows_of([[0]] * 2_000), "pairs")
    assert trial == "no kind of corruption makes enough windows that are not usual ones again"


def test_a_loss_of_one_kind_is_not_made_good_by_another():
    usual = np.random.default_rng(0).exponential(size=(2, 4_000))
    members = [
        Member(name, NewEvent(), NewEvent(), row, np.ones(4_000, np.bool_), counts=True, tail=Tail.fit(row))
        for name, row in zip(("new-event", "pairs"), usual, strict=True)
    ]
    # p = 10^-2.2 of the voter alone is odd at 1 in 100, the mean of it and of nothing is not
    twins = {"drop": np.tile([[2.2 * np.log(10)], [0.0]], 60), "swap": np.tile([[0.0], [30.0]], 60)}
    half = np.ones(2_000)
    can, tails = np.ones((2, 2_000), np.bool_), [member.tail for member in members]
    trial = Trial(usual[:, :2_000], can, half, usual[:, 2_000:], half, twins, tails)
    told = judge(members, ["pairs"], trial, 0.01, 1e9)["pairs"]
    assert told.detected == {"drop": (1.0, 0.0), "swap": (0.0, 1.0)}
    assert told.why == "of corrupted windows +0.0% found; at least +2% are asked for"
    more = replace(trial, twins=twins | {"delay": twins["swap"]})
    told = judge(members, ["pairs"], more, 0.01, 1e9)["pairs"]
    assert not told.joined
    assert told.why == "of corrupted windows +33.3% found, but 100.0% fewer of kind drop; at most 1% may be lost"
