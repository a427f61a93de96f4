"""What an answer means, how long it holds, and that the log replayed is the state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naive.feedback import held
from oddlog.errors import ConfigError
from oddlog.feedback import Answer, Answers, beside, by_pattern, recall, remember
from oddlog.feedback import answers as answers_module
from oddlog.feedback import remembered as remembered_module
from oddlog.types import Incident, Reason

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
P, Q, R = ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc")


def incident(id_: str, pattern: str, severity: float = 1.0, *others: str) -> Incident:
    said = (Reason("unseen_template", f"never seen before: “{id_}”"),)
    return Incident(
        id_, "s1", ("s1",), 1, NOON, NOON, severity, 3.0, 0.001, pattern, ("shop",), (), said, (), (pattern, *others)
    )


def answers(*given: Answer) -> Answers:
    found = Answers(clock=lambda: NOON)
    for one in given:
        found.add(one)
    return found


def test_usual_hides_mute_hides_and_anomalous_comes_first_and_is_marked():
    said = answers(
        Answer("usual", P, NOON),
        Answer("mute", Q, NOON, until=NOON + HOUR),
        Answer("anomalous", R, NOON, who="kim", note="disk"),
    )
    shown, hidden = said.apply(
        [incident("1", "d" * 16, 5.0), incident("2", P, 4.0), incident("3", R, 3.0), incident("4", Q, 2.0)]
    )
    assert [(one.id, one.severity, one.answer, one.notes) for one in shown] == [
        ("3", 6.0, "anomalous", ("confirmed by kim on 2026-03-09 12:00: disk",)),
        ("1", 5.0, "", ()),
    ]
    assert [(one.id, one.answer, one.notes) for one in hidden] == [
        ("2", "usual", ("called usual on 2026-03-09 12:00",)),
        ("4", "mute", ("muted until 2026-03-09 13:00 on 2026-03-09 12:00",)),
    ]


def test_an_answer_to_a_larger_or_a_smaller_pattern_is_another_answer():
    assert answers(Answer("usual", P, NOON)).standing().pattern(Q) is None


def test_the_last_answer_to_a_pattern_holds():
    said = answers(Answer("usual", P, NOON), Answer("anomalous", P, NOON + HOUR))
    shown, hidden = said.apply([incident("1", P)])
    assert ([one.answer for one in shown], hidden) == (["anomalous"], [])


def test_a_mute_that_has_run_out_is_as_if_it_had_never_been_given():
    said = answers(Answer("usual", P, NOON), Answer("mute", P, NOON, until=NOON + HOUR))
    for hours, word in ((0.0, "mute"), (0.999, "mute"), (1.0, "usual"), (100.0, "usual")):
        found = said.standing(NOON + hours * HOUR).pattern(P)
        assert found is not None
        assert (hours, found.answer) == (hours, word)
    forever = answers(Answer("mute", Q, NOON)).standing(NOON + 10_000 * HOUR).pattern(Q)
    assert forever is not None


def test_an_answer_to_an_incident_of_many_patterns_holds_for_each_of_them():
    said = answers(Answer("usual", P, NOON, patterns=(P, Q)))
    assert said.apply([incident("1", Q)])[0] == []
    confirmed = answers(Answer("anomalous", Q, NOON))
    assert confirmed.apply([incident("1", P, 1.0, Q)])[0][0].answer == "anomalous"
    assert answers(Answer("usual", Q, NOON)).apply([incident("1", P, 1.0, Q)])[1] == []  # P was never answered


def test_types_that_led_an_incident_are_excused_until_somebody_confirms_it():
    x, key = "00000000000000ff", 255
    usual = Answer("usual", P, NOON, new_types=(x,))
    assert answers(usual).standing().type(key) == usual
    assert answers(usual, Answer("anomalous", Q, NOON, new_types=(x,))).standing().type(key) is None
    assert answers(usual).standing().type(7) is None


def test_answers_that_hold_only_for_what_comes_after_them_leave_the_past_alone():
    said = answers(Answer("usual", P, NOON), Answer("anomalous", P, NOON + HOUR))
    said.only_later = True
    standing = said.standing()

    def word(end: datetime | None) -> str | None:
        found = standing.pattern(P, end)
        return found and found.answer

    assert [word(NOON), word(NOON + HOUR / 2), word(NOON + 2 * HOUR)] == [None, "usual", "anomalous"]
    assert word(None) is None  # nothing says that it came later


def test_an_answer_is_undone_by_its_number_its_incident_or_its_pattern_and_the_one_before_holds_again(tmp_path: Path):
    said = Answers.load(tmp_path / "a.jsonl", clock=lambda: NOON)
    assert said.add(Answer("usual", P, NOON, "1f00")) == 1
    assert said.add(Answer("mute", P, NOON, "1f00")) == 2
    assert said.add(Answer("anomalous", Q, NOON, "2e00")) == 3
    assert said.undo("1f").answer == "mute"
    assert said.standing().pattern(P) == said.given[0]
    assert said.undo("bbbb").pattern == Q
    assert said.undo("1").answer == "usual"
    assert not said.standing()
    for which, says in (
        ("1", "Answer 1 was undone before. Look with: oddlog feedback list"),
        ("4", "There is no answer 4: there are 3."),
        ("2e00", "There is no answer to '2e00' that could be undone."),
        ("", "There is no answer to '' that could be undone."),
    ):
        with pytest.raises(ConfigError, match=says):
            said.undo(which)


def test_the_beginning_of_two_ids_is_not_enough_to_undo_one():
    said = answers(Answer("usual", P, NOON, "1f00"), Answer("usual", Q, NOON, "1f11"))
    with pytest.raises(ConfigError, match="'1f' is the beginning of several ids"):
        said.undo("1f")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer("usuall", P, NOON), "'usuall' is no answer. Did you mean 'usual'"),
        (Answer("usual", "xyz", NOON), "'xyz' is no pattern: these are 16 hexadecimal digits"),
        (Answer("usual", P, NOON, until=NOON + HOUR), "--until goes with mute, not with usual"),
        (Answer("mute", P, NOON, until=NOON), "2026-03-09T12:00Z has passed: nothing would be muted"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(answer: Answer, says: str):
    said = Answers()
    with pytest.raises(ConfigError, match=says):
        said.add(answer)
    assert said.given == []


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answers_module, "MOST_ANSWERS", 2)
    said = answers(Answer("usual", P, NOON), Answer("usual", Q, NOON))
    with pytest.raises(ConfigError, match="There are 2 answers, and at most 2 are kept"):
        said.add(Answer("usual", R, NOON))


def test_exported_answers_taken_in_elsewhere_say_the_same_and_once_only(tmp_path: Path):
    here = answers(Answer("usual", P, NOON, "1f00", (P, Q), ("00000000000000ff",), note="ü"), Answer("mute", R, NOON))
    here.undo("2")
    there = Answers.load(tmp_path / "b.jsonl")
    assert there.take_in(here.export()) == 1
    assert there.take_in(here.export() * 2) == 0
    assert Answers.load(tmp_path / "b.jsonl").given == [here.given[0]]
    there.undo("1")
    assert there.take_in(here.export()) == 1  # taken back, and offered again
    assert Answers.load(tmp_path / "b.jsonl").standing().pattern(Q) == here.given[0]


def test_of_what_is_offered_all_or_nothing_is_taken_in():
    said = Answers()
    good = Answer("usual", P, NOON).record()
    for bad in ({"answer": "usual"}, {**good, "answer": "fine"}, {**good, "pattern": "../x"}, [1], {**good, "time": 3}):
        with pytest.raises(ConfigError, match="This is no answer"):
            said.take_in([good, bad])
    assert said.given == []


def test_a_record_that_is_no_answer_is_passed_over_and_counted(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    Answers.load(path).add(Answer("usual", P, NOON))
    path.write_bytes(b'{"answer":"usual"}\n' + path.read_bytes() + b'{"answer":"us')
    said = Answers.load(path)
    assert ([one.pattern for one in said.given], said.broken) == ([P], 2)


def test_a_time_in_any_zone_is_the_same_answer():
    east = NOON.astimezone(datetime.fromisoformat("2026-03-09T00:00+09:00").tzinfo)
    assert Answer("usual", P, east).name == Answer("usual", P, NOON).name


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["usual", "anomalous", "mute"]), st.sampled_from([P, Q, R]), st.integers(0, 3)),
        st.tuples(st.just("undo"), st.integers(1, 6), st.just(0)),
        st.tuples(st.just("again"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@given(STEPS, st.integers(0, 30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_log_replayed_is_the_state(tmp_path: Path, steps: list[tuple[str, str | int, int]], at: int):
    path = tmp_path / "a.jsonl"
    path.unlink(missing_ok=True)
    said = Answers.load(path)
    done: list[tuple[str, Answer | int]] = []
    for i, (word, what, hours) in enumerate(steps):
        if word == "again":
            said = Answers.load(path)  # by another process
        elif word == "undo":
            try:
                said.undo(str(what))
            except ConfigError:
                continue
            done.append(("undo", int(what)))
        else:
            time = NOON + i * HOUR
            until = time + hours * HOUR if word == "mute" and hours else None
            answer = Answer(word, str(what), time, until=until)
            said.add(answer)
            done.append(("add", answer))
    now = NOON + at * HOUR
    replayed = Answers.load(path)
    for pattern in (P, Q, R):
        expected = held(done, pattern, now)
        assert said.standing(now).pattern(pattern) == expected
        assert replayed.standing(now).pattern(pattern) == expected
    assert replayed.given == said.given


def test_an_incident_is_recalled_by_the_beginning_of_its_id(tmp_path: Path):
    path = beside(tmp_path / "app.model", "incidents")
    one, two = incident("1f00", P, 2.0, Q), replace(incident("2e00", Q), new_types=("00000000000000ff",))
    remember(path, [one, two])
    assert recall(path, "1") == recall(path, "1f00")
    assert recall(path, "1").patterns == (P, Q)
    assert recall(path, "2e").says == "never seen before: “2e00”"
    assert by_pattern(path, Q).new_types == ("00000000000000ff",)  # the last of that pattern
    assert by_pattern(path, R).id == ""


def test_an_id_that_is_not_remembered_is_one_clear_line_with_a_guess(tmp_path: Path):
    path = beside(tmp_path / "app.model", "incidents")
    with pytest.raises(
        ConfigError, match=r"No incident '1f' is remembered: app\.model\.incidents\.jsonl holds none\. Run"
    ):
        recall(path, "1f")
    remember(path, [incident("1f00abcd", P), incident("1f11abcd", Q)])
    with pytest.raises(ConfigError, match="'1f' is the beginning of 2 ids: 1f11abcd, 1f00abcd"):
        recall(path, "1f")
    with pytest.raises(
        ConfigError, match=r"No incident '1f00abce' is among the 2 remembered ones\. Did you mean 1f00ab"
    ):
        recall(path, "1f00abce")
    with pytest.raises(ConfigError, match=r"The last ones are 1f00abcd, 1f11abcd\. Or name its --pattern"):
        recall(path, "77")


def test_only_the_last_incidents_are_remembered_the_most_pressing_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(remembered_module, "MOST_REMEMBERED", 3)
    path = beside(tmp_path / "app.model", "incidents")
    remember(path, [incident("10", P), incident("11", P)])
    remember(path, [incident("11", Q), incident("12", Q), incident("13", Q), incident("14", Q)])
    assert [recall(path, id_).pattern for id_ in ("11", "12", "13")] == [Q, Q, Q]
    with pytest.raises(ConfigError, match="'10'"):
        recall(path, "10")
    with pytest.raises(ConfigError, match="'14'"):
        recall(path, "14")
