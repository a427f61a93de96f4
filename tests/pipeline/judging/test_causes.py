"""pipeline/judging/causes.py: which odd stretches are one incident, and which are two that meet."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.pipeline.judging.causes import GAP, Cause, causes_of, overlap
from oddlog.pipeline.judging.rates_reasons import Stretch

TRACED = frozenset({"web", "pay", "stock"})


def stretch(start: int, end: int, *, service: str = "pay", member: str = "z-score", **of: object) -> Stretch:
    """Return a stretch from minute `start` to minute `end`."""
    given = {"kind": "lines", "host": "", "name": "", "template": -1, "surprise": 9.0, "seen": 40.0, **of}
    return Stretch(
        member=member, subject=0, who=0, start=start, end=end, minute=start, span=10, score=1.0, usual=2.0,
        service=service, **given,  # type: ignore[arg-type] - all there are
    )  # fmt: skip


def spans(causes: list[Cause]) -> list[tuple[int, int]]:
    return sorted((cause.start, cause.end) for cause in causes)


def test_what_is_odd_of_one_service_at_one_time_is_one_cause():
    lines, errors = stretch(100, 160), stretch(104, 158, kind="errors")
    (cause,) = causes_of([lines, errors], TRACED)
    assert cause.core == [lines, errors]


def test_what_follows_another_in_one_service_is_a_cause_of_its_own():
    assert spans(causes_of([stretch(100, 160), stretch(165, 230)], TRACED)) == [(100, 160), (165, 230)]


def test_services_that_sessions_run_through_feel_a_fault_at_once():
    (cause,) = causes_of([stretch(100, 160), stretch(103, 158, service="web")], TRACED)
    assert cause.places == {"pay", "web"}


def test_a_service_that_no_session_runs_through_has_causes_of_its_own():
    assert len(causes_of([stretch(100, 160), stretch(103, 158, service="sshd")], TRACED)) == 2


def test_services_whose_oddness_begins_far_apart_are_two_causes():
    assert len(causes_of([stretch(100, 190), stretch(130, 190, service="web")], TRACED)) == 2


def test_a_ramp_does_not_swallow_what_happens_while_it_climbs():
    ramp = stretch(0, 400, member="ramp", service="stock")
    storm = stretch(100, 120, service="pay", surprise=30.0)
    assert spans(causes_of([ramp, storm], TRACED)) == [(0, 400), (100, 120)]


def test_what_is_odd_of_a_ramp_s_own_series_meanwhile_is_the_ramp_s_cause():
    ramp = stretch(0, 300, member="ramp", template=7)
    climbed = stretch(180, 300, template=7, surprise=30.0)
    (cause,) = causes_of([ramp, climbed], TRACED)
    assert (cause.core, cause.beside) == ([climbed], [ramp])


def test_a_chain_of_stretches_that_each_meet_the_next_is_no_single_cause():
    chain = [stretch(at, at + 60) for at in range(0, 400, 50)]
    assert all(cause.end - cause.start <= 60 for cause in causes_of(chain, TRACED))


def test_who_did_it_comes_before_what_there_was_too_much_of():
    address = stretch(100, 119, member="concentration", kind="entity", name="203.0.113.7", service="web", seen=80.0)
    failures = stretch(101, 121, kind="errors", service="web", surprise=40.0, seen=70.0)
    (cause,) = causes_of([failures, address], TRACED)
    assert cause.has_own_place
    assert set(cause.core) | set(cause.beside) == {address, failures}


@pytest.mark.parametrize(("begins", "causes"), [(102, 1), (110, 2)])
def test_services_silent_from_the_same_minute_are_one_silence(begins: int, causes: int):
    silent = [stretch(100, 190, member="silence"), stretch(begins, 190, member="silence", service="web")]
    assert len(causes_of(silent, TRACED)) == causes


def test_a_cause_begins_when_a_quarter_of_its_evidence_has_begun_and_ends_when_three_quarters_have_ended():
    chance = stretch(60, 200, surprise=1.0)
    rest = [stretch(100, 200, kind="errors"), stretch(102, 199, kind="warnings")]
    cause = Cause([chance, *rest])
    assert (cause.start, cause.end) == (100, 200)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 90), st.sampled_from(["pay", "web", "sshd"])), max_size=12)
)
def test_every_stretch_has_exactly_one_cause_whatever_the_order(drawn: list[tuple[int, int, str]]):
    stretches = [stretch(at, at + long, service=name, name=str(i)) for i, (at, long, name) in enumerate(drawn)]
    causes = causes_of(stretches, TRACED)
    told = [one.name for cause in causes for one in (*cause.core, *cause.beside)]
    assert sorted(told) == sorted(one.name for one in stretches)
    assert spans(causes) == spans(causes_of(stretches[::-1], TRACED))


def test_stretches_that_lie_apart_overlap_by_less_than_nothing():
    apart = [stretch(0, 9), stretch(10 + GAP, 60)]
    assert [overlap(one, other) for one, other in pairwise(apart)] == [-GAP]
