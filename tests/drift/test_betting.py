"""Evidence grows while something lasts, and not by chance."""

from __future__ import annotations

import numpy as np

from oddlog.drift.betting import Bets, slack_of

BOUND = 1e5


def run(p: np.ndarray, n: int = 240, bound: float = BOUND) -> Bets:
    bets = Bets(np.array([slack_of(n)]), bound)
    for block, one in enumerate(p.tolist()):
        bets.bet(np.array([one]), block)
    return bets


def first_alarm(p: np.ndarray, slack: float, bound: float) -> int:
    """Return after how many blocks a figure has drifted; all of them if it has not."""
    bets = Bets(np.array([slack]), bound)
    for block, one in enumerate(p.tolist()):
        bets.bet(np.array([one]), block)
        if bets.drifts[0]:
            return block
    return len(p)


def test_the_time_to_a_false_alarm_is_the_bound_or_longer():
    # Without slack, where the bound is tightest: 500 runs at a bound of 200 blocks.
    draw, bets = np.random.default_rng(0), Bets(np.zeros(500), 200.0)
    first = np.full(500, 2_000)
    for block in range(2_000):
        bets.bet(draw.random(500), block)
        first = np.where(bets.drifts, np.minimum(first, block), first)
    assert 200 < first.mean() < 2_000


def test_no_incident_of_some_hours_is_a_drift():
    usual = np.full(100, 0.5)
    assert not run(np.concatenate([usual, np.full(17, 1 / 241), usual[:1]])).drifts.any()
    assert run(np.concatenate([usual, np.full(24, 1 / 241)])).drifts.all()


def test_a_drift_is_over_some_blocks_after_all_is_usual_again():
    draw = np.random.default_rng(1)
    drifted = np.concatenate([draw.random(50), np.full(100, 0.01)])
    assert run(drifted).since[0] >= 48
    assert not run(np.concatenate([drifted, draw.random(60)])).drifts.any()


def test_a_slow_shift_is_found_later_than_a_sudden_one():
    draw = np.random.default_rng(2)
    sudden, slight = draw.random(2_000) * 0.05, draw.random(2_000) * 0.6
    assert first_alarm(sudden, 0.05, BOUND) < 30 < first_alarm(slight, 0.05, BOUND) < 300


def test_nothing_is_bet_where_nothing_is_known_and_the_state_is_all_there_is():
    p = np.random.default_rng(3).random(40) * 0.3
    half, whole = run(p[:20]), run(p)
    other = Bets(np.array([slack_of(240)]), BOUND)
    other.restore(half.state().arrays)
    for block, one in enumerate(p[20:].tolist(), 20):
        other.bet(np.array([np.nan]), block)
        other.bet(np.array([one]), block)
    assert other.evidence == whole.evidence
    assert other.since == whole.since


def test_few_training_blocks_leave_more_open():
    assert slack_of(18) > 2 * slack_of(240) == 2 * slack_of(10_000)
