"""pipeline/judging/telling.py and pipeline/judging/odd.py: what members remark on, and which lines they mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fake_members import Fake, Telling
from made_windows import windows_of
from oddlog.calibration import Calibrator
from oddlog.detectors.values import ParameterValues
from oddlog.explain import Oddity, Usual, drifted, figure, out_of_range, unexpected
from oddlog.pipeline.judging.odd import OddWindows, combination
from oddlog.pipeline.judging.telling import Remark, reason_of, remarks_of
from oddlog.pipeline.judging.views import Cut, View
from oddlog.pipeline.learning.known import Known
from oddlog.pipeline.learning.known import Known as KnownOddities
from oddlog.testing import context
from oddlog.types import Context, Number, Windows
from oddlog.windows import SessionChoice

MS = Number("duration_ms", "ms", "log")
K = 5


def timed(bags: list[list[tuple[int, float]]]) -> Windows:
    plain = windows_of([[row for row, _ in bag] for bag in bags])
    return replace(plain, numbers=np.array([[ms] for bag in bags for _, ms in bag], np.float32).reshape(-1, 1))


def of() -> Context:
    return replace(context(K), numbers=(MS,))


def text_of(row: int) -> str:
    return f"type {row} <*>"


@pytest.fixture
def telling() -> Telling:
    return Telling().fit(windows_of([[0, 1, 2, 4]] * 6 + [[0, 1, 3, 4]] * 3), context(K))


def test_what_was_expected_instead_is_remarked_on(telling: Telling):
    windows = windows_of([[0, 1, 2, 4], [0, 1, 4]])
    ((), (remark,)) = remarks_of([telling], {"telling": np.array([0.4, 0.0001])}, 0.001, windows)
    assert (remark.kind, remark.event, remark.template, remark.line) == ("unexpected_event", 2, 4, 6)
    told = reason_of(remark, context(K), text_of)
    # after type 1 came type 2 six times and type 3 three times, of ten with the one that is added for what is new
    assert told.text == "expected “type 2 <*>” (60 %) or “type 3 <*>” (30 %), saw “type 4 <*>” (0.1 %)"
    assert told.numbers == pytest.approx({"seen_p": 0.001, "line": 6, "expected_1_p": 0.6, "expected_2_p": 0.3})


def test_members_that_find_nothing_odd_or_have_no_opinion_are_not_asked(telling: Telling):
    windows = windows_of([[0, 1, 4]])
    assert remarks_of([telling], {"telling": np.array([0.002])}, 0.001, windows) == [[]]
    assert remarks_of([telling], {"telling": np.array([np.nan])}, 0.001, windows) == [[]]
    assert remarks_of([Fake()], {"pairs": np.array([0.0])}, 0.001, windows) == [[]]


def test_the_end_and_types_never_seen_have_words_of_their_own():
    facts = {"expected": [K + 1, K, 2], "probability": [0.7, 0.2, 0.05], "seen": 0.02}
    at_end = reason_of(Remark("unexpected_event", -1, -1, 0, facts), context(K), text_of)
    assert at_end.text == "expected the end (70 %) or a line never seen before (20 %), saw the end (2 %)"
    unseen = reason_of(Remark("unexpected_event", 0, K, 9, facts), context(K), text_of)
    assert unseen.text.endswith("saw “type 5 <*>” (2 %)")  # what came has a text, though the model has never seen it


def test_a_value_out_of_range_is_remarked_on():
    usual = timed([[(0, float(100 + i % 21)), (1, 5.0)] for i in range(100)])
    member = ParameterValues().fit(usual, of())
    windows = timed([[(1, 5.0), (0, 4_200.0)]])
    ((remark,),) = remarks_of([member], {"values": np.array([1e-6])}, 0.001, windows)
    assert (remark.kind, remark.event, remark.line) == ("out_of_range", 1, 1)
    told = reason_of(remark, of(), text_of)
    assert told.text == "duration_ms of “type 0 <*>”: 4,200 ms (usually 100–120 ms)"
    assert told.numbers == {"value": 4_200.0, "low": 100.0, "high": 120.0, "line": 1, "number": "duration_ms"}


def test_values_that_are_odd_together_are_remarked_on():
    usual = timed([[(0, float(100 + (7 * i + j) % 21)) for j in range(6)] for i in range(105)])
    member = ParameterValues().fit(usual, of())  # 100 to 105, 107 to 112 and 114 to 119, each as often
    windows = timed([[(0, 118.0)] * 30])
    ((remark,),) = remarks_of([member], {"values": np.array([1e-6])}, 0.001, windows)
    told = reason_of(remark, of(), text_of)
    assert told.kind == "drift"
    assert told.text == "duration_ms of “type 0 <*>”: 118 ms in the middle of 30 values (usually 109 ms)"


def test_reasons_of_numbers_read_like_sentences():
    code = Number("00c0ffee00c0ffee:1")
    assert out_of_range(code, "GET <*> answered <*>", 500, 200, 200, 7).text == (
        "“GET <*> answered [<*>]”: 500 (always 200)"
    )
    assert drifted(Number("size"), "sent <*>", 1_200, 0.04, 1.5).text == (
        "size of “sent <*>”: 0.04 in the middle of 1,200 values (usually 1.5)"
    )
    assert unexpected([("“a”", 0.95), ("“b”", 0.04)], "“c”", 1e-9, 3).text == "expected “a” (95 %), saw “c” (0.01 %)"
    assert [figure(x) for x in (0.0, -4.0, 1234.5, 0.00012)] == ["0", "-4", "1,234", "0.00012"]


def odd_windows(oddities: list[list[Oddity]], remarks: list[list[Remark]]) -> OddWindows:
    windows = windows_of([[0, 1, 2, 1]] * len(oddities))
    cut = Cut("session", SessionChoice("field", "f.id"))
    view = View("sessions", cut, (), Calibrator(), 0.0, Usual.learn(windows, K), Known.nothing())
    n = len(oddities)
    return OddWindows(view, windows, np.arange(float(n)), np.full(n, 1e-4), oddities, remarks, np.zeros(n))


def test_the_lines_of_types_that_are_odd_are_guilty_and_else_those_that_are_remarked_on():
    here = Oddity(1, "count_off", 2, 1, 1.0)
    remark = Remark("unexpected_event", 2, 2, 3)
    odd = odd_windows([[here], [], [here], []], [[], [remark], [remark], []])
    assert odd.guilty.reshape(4, 4).tolist() == [
        [False, True, False, True],
        [False, False, True, False],
        [False, True, False, True],
        [False] * 4,
    ]
    assert odd.signs == [[("count_off", 1)], [("unexpected_event", 2)], [("count_off", 1)], []]
    lines = odd.lines()
    assert lines.sort("line")["line"].to_list() == [1, 3, 6, 9, 11]
    assert set(lines["window_reason"]) == {"count_off in s0", "unexpected_event in s1", "count_off in s2"}


def test_what_is_missing_has_no_line():
    odd = odd_windows([[Oddity(3, "missing_event", 0, 1, 1.0)]], [[Remark("unexpected_event", -1, -1, 0)]])
    assert not odd.guilty.any()
    assert len(odd.lines()) == 0


def test_windows_of_several_parts_are_taken_together_and_apart():
    odd = odd_windows([[Oddity(i, "count_off", 1, 2, 1.0)] for i in range(3)], [[]] * 3)
    twice = OddWindows.concat([odd, odd])
    assert len(twice.windows) == 6
    some = twice.take(np.array([5, 0]))
    assert [one[0].template for one in some.oddities] == [2, 0]
    assert some.windows.key.to_list() == ["s2", "s0"]
    assert some.score.tolist() == [2.0, 0.0]


def asked(members: tuple[Fake, ...], p_value: dict[str, float], windows: Windows) -> tuple[str, dict[str, object]]:
    """Return the reason of a window in which no type stands out, as members with these p-values give it."""

    class Known(View):
        def member_p(self, windows: Windows) -> dict[str, np.ndarray]:
            return {name: np.full(len(windows), p) for name, p in p_value.items()}

    cut = Cut("session", SessionChoice("field", "f.id"))
    view = Known("sessions", cut, members, Calibrator(), 0.0, Usual.learn(windows, K), KnownOddities.nothing())
    (told,) = combination(view, windows, context(K), text_of)
    return told.text, dict(told.numbers)


def test_where_no_type_stands_out_the_most_surprised_member_that_has_a_word_for_it_is_asked(telling: Telling):
    windows = windows_of([[0, 1, 4]])
    text, _ = asked((Fake(), telling), {"pairs": 1e-9, "telling": 0.01}, windows)
    assert text == "expected “type 2 <*>” (60 %) or “type 3 <*>” (30 %), saw “type 4 <*>” (0.1 %)"


def test_where_nobody_has_a_word_it_is_said_who_is_surprised():
    one, three = windows_of([[2, 2, 2]]), windows_of([[0, 1, 2]])
    surprised = {"pairs": 0.00012}
    assert asked((Fake(),), surprised, one) == (
        "its 3 lines are all “type 2 <*>”: pairs has seldom seen the like (p 0.0001)",
        {"types": 1},
    )
    assert asked((Fake(),), surprised, windows_of([[2]]))[0].startswith("its one line is “type 2 <*>”: pairs")
    assert asked((Fake(),), surprised, three) == (
        "no single type stands out: their combination does; pairs has seldom seen the like (p 0.0001)",
        {"types": 3},
    )
    nobody = asked((Fake(),), {"pairs": np.nan}, one)
    assert nobody == ("no single type stands out: their combination does", {"types": 1})
