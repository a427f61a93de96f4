"""Learning more: nothing that was known moves, nothing that was usual is forgotten, the old model stays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import oddlog
from made_windows import windows_of
from oddlog.errors import InputError, ModelError, TooLittleDataError
from oddlog.feedback import Answer, Answers
from oddlog.model import Model
from oddlog.pipeline.learning import memory as memory_module
from oddlog.pipeline.learning.memory import Begun, Memory, ViewMemory
from oddlog.pipeline.learning.view import Gathered
from oddlog.types import NO_TIME
from small_shop import shop_lines

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def old(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


def wrapped(lines: list[str]) -> list[str]:
    """Return the lines with one more for each order, of a type and a service that are new."""
    more = [one.replace("shop.mail", "shop.gift").replace("receipt sent", "wrapped in paper") for one in lines]
    return sorted(lines + [one for one in more if "wrapped" in one])


@pytest.fixture(scope="module")
def new_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("more") / "new.log"
    path.write_text("\n".join(wrapped(shop_lines(250, 2, start=100_000))) + "\n")
    return path


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day later: half of the orders are wrapped, half are as they were, three are lost."""
    lines = [*shop_lines(40, 3, start=200_000, broken=3), *wrapped(shop_lines(40, 4, start=210_000))]
    path = tmp_path_factory.mktemp("later") / "later.log"
    path.write_text("\n".join([*lines, *shop_lines(60, 5, start=220_000)]) + "\n")
    return path


@pytest.fixture(scope="module")
def updated(old: Model, new_log: Path) -> Model:
    return oddlog.update(old, new_log)


def n_odd(model: Model, path: Path) -> int:
    return int(model.detect(path).scores.filter("is_anomaly")["key"].n_unique())


def test_what_was_added_is_usual_and_what_was_known_still_is(old: Model, updated: Model, small_log: Path, later: Path):
    assert n_odd(old, later) == 43
    assert n_odd(updated, later) == 3  # the lost ones
    assert n_odd(updated, small_log) == 0  # of which no line was read again


def test_learning_from_the_new_logs_alone_would_have_forgotten(new_log: Path, small_log: Path):
    assert n_odd(oddlog.fit(new_log, detectors=["snn", "new-event"]), small_log) > 300


def test_known_types_keep_their_keys_rows_and_texts(old: Model, updated: Model):
    before, after = old.context.templates, updated.context.templates
    assert after.text[: len(before)] == before.text
    assert after.text[len(before) :] == ("Order <*> wrapped in paper",)
    assert after.rows_of(before.key).tolist() == before.row.tolist()
    assert (after.embedding[: len(before)] == before.embedding).all()
    assert updated.context.services[: len(old.context.services)] == old.context.services
    assert "shop.gift" in updated.context.services


def test_lines_and_windows_add_up(old: Model, updated: Model, small_log: Path, new_log: Path):
    n_old, n_new = (len(path.read_text().splitlines()) for path in (small_log, new_log))
    assert (updated.training["lines"], updated.training["records"]) == (n_old + n_new, n_old + n_new)
    assert updated.context.templates.count.sum() == n_old + n_new
    assert updated.events.count.sum() == n_old + n_new
    was, now = (model.training["views"]["sessions"] for model in (old, updated))
    assert now["windows"] + now["unfinished"] == was["windows"] + was["unfinished"] + 250
    assert (updated.training["start"], updated.training["end"][:10]) == (old.training["start"], "2026-03-03")
    (step,) = updated.training["updates"]
    assert (step["model"], step["lines"]) == (old.id, n_new)
    assert len(updated.reading["formats"]) == 2


def test_the_old_model_is_not_changed(small_log: Path, new_log: Path, later: Path):
    model = oddlog.fit(small_log, detectors=["snn", "new-event"])
    before = (model.id, model.detect(later).scores)
    oddlog.update(model, new_log)
    fresh = Model(**{name: getattr(model, name) for name in model.__dataclass_fields__})  # its id is counted anew
    assert fresh.id == before[0]
    assert fresh.detect(later).scores.equals(before[1])


def test_the_same_update_gives_the_same_model_also_after_a_stay_on_disk(
    old: Model, updated: Model, new_log: Path, tmp_path: Path
):
    old.save(tmp_path / "a.model")
    again = oddlog.update(oddlog.load(tmp_path / "a.model"), new_log)
    assert again.id == updated.id
    again.save(tmp_path / "b.model")
    assert oddlog.load(tmp_path / "b.model").id == updated.id


def test_an_updated_model_can_be_updated(updated: Model, later: Path, small_log: Path):
    twice = oddlog.update(updated, later)
    assert len(twice.training["updates"]) == 2
    assert n_odd(twice, small_log) == 0


def test_answers_hold_for_the_new_model(old: Model, updated: Model, later: Path):
    (lost,) = [one for one in updated.detect(later).incidents if one.n_windows == 3]
    answers = Answers()
    answers.add(Answer("usual", lost.pattern, NOON, lost.id, lost.patterns, lost.new_types))
    assert updated.detect(later, answers=answers, now=NOON).incidents == ()
    of_old = [one for one in old.detect(later).incidents if one.pattern == lost.pattern]
    assert len(of_old) == 1


def test_what_was_called_usual_is_learned_and_what_was_confirmed_is_not(old: Model, later: Path, tmp_path: Path):
    odd_ones = old.detect(later).incidents
    lost = next(one for one in odd_ones if one.n_windows == 3)
    path = tmp_path / "again.log"
    path.write_text("\n".join([*shop_lines(40, 8, start=300_000, broken=2), *shop_lines(60, 9, start=310_000)]) + "\n")

    def trained(word: str) -> Model:
        answers = Answers()
        answers.add(Answer(word, lost.pattern, NOON, lost.id, lost.patterns, lost.new_types))
        return oddlog.update(old, later, answers=answers)

    usual, confirmed = trained("usual"), trained("anomalous")
    assert n_odd(usual, path) == 0  # without any answer beside the new model
    assert n_odd(confirmed, path) == 2
    n = [model.training["views"]["sessions"]["usual"] for model in (usual, confirmed)]
    assert n[0] - n[1] >= 3


def test_what_cannot_be_learned_on_is_said(old: Model, small_log: Path, tmp_path: Path):
    bare = Model(old.context, old.views, old.events, old.reading, old.training)
    with pytest.raises(ModelError, match="remembers nothing of its training"):
        oddlog.update(bare, small_log)
    with pytest.raises(TooLittleDataError, match="No record is left to learn from"):
        oddlog.update(old, small_log, since="2030-01-01")
    with pytest.raises(InputError, match="There is no file"):
        oddlog.update(old, tmp_path / "no.log")


def test_windows_of_time_and_entities_learn_on_too(small_log: Path, new_log: Path, later: Path):
    options = {"session": "none", "window": "10min", "entity": r"from (\S+)", "detectors": ["snn", "new-event"]}
    model = oddlog.fit(small_log, **options)
    more = oddlog.update(model, new_log)
    assert [view.name for view in more.views] == [view.name for view in model.views] == ["windows", "entities"]
    assert len(more.views[1].usual.concentration) == len(more.context.templates)
    (wrapped_in_paper,) = set(more.context.templates.text) - set(model.context.templates.text)
    told = [[one.text for incident in m.detect(later).incidents for one in incident.reasons] for m in (model, more)]
    assert [any(wrapped_in_paper in one and "never seen" in one for one in texts) for texts in told] == [True, False]


def test_a_log_without_times_learns_on_too(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 2)):
        lines = [line[24:] for line in shop_lines(100, seed)]
        (tmp_path / f"{name}.log").write_text("\n".join(lines) + "\n")
    model = oddlog.fit(tmp_path / "a.log", detectors=["snn", "new-event"], session="none", window="20")
    more = oddlog.update(model, tmp_path / "b.log")
    was, now = (one.training["views"]["windows"]["windows"] for one in (model, more))
    assert now == pytest.approx(2 * was, abs=10)
    assert (more.training["start"], more.training["end"]) == (None, None)


def gathered_of(bags: list[list[int]], weight: list[float]) -> Gathered:
    windows = windows_of(bags, weight)
    zeros = np.zeros(len(bags), np.int64)
    return Gathered(windows, zeros.astype(np.int8) - 1, zeros, float(len(bags)), 0.0)


def test_of_many_windows_the_common_ones_are_remembered_within_the_limits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_module, "MOST_WINDOWS", 10)
    bags = [[i % 7] * (i + 1) for i in range(40)]
    weight = [100.0 if i % 10 == 0 else 1.0 for i in range(40)]
    kept = ViewMemory.of(gathered_of(bags, weight), None, 7).counted.windows
    assert len(kept) == 10
    assert sorted(kept.weight)[-4:] == [100.0] * 4
    monkeypatch.setattr(memory_module, "MOST_EVENTS", 40)
    few = ViewMemory.of(gathered_of(bags, weight), None, 7).counted.windows
    assert few.lengths.sum() <= 40
    assert few.weight.tolist() == [100.0] * 3  # of 1, 11 and 21 events; that of 31 would be too many


def test_a_memory_on_disk_is_the_memory(old: Model):
    memory = Memory.from_states(old.memory, 0)
    again = Memory.from_states(memory.states(), 0)
    assert {name: state.meta for name, state in memory.states().items()} == {
        name: state.meta for name, state in again.states().items()
    }
    for name, state in old.memory.items():
        for array, content in state.arrays.items():
            assert memory.states()[name].arrays[array].tobytes() == content.tobytes()
    view = memory.views["sessions"]
    assert view.counted.windows.weight.sum() == view.n_windows
    assert memory.by_type["n"].sum() == old.events.count.sum()


def test_when_sessions_are_over_is_learned_from_old_and_new_ones_as_if_both_logs_had_ended_together():
    windows = windows_of([[0, 1], [0]])
    begun = Begun(windows, 50)
    moved = begun.ending(80)
    assert (moved.time_us - windows.time_us).tolist() == [30, 30, 30]
    assert (moved.start - windows.start).tolist() == (moved.end - windows.end).tolist() == [30, 30]
    assert begun.ending(NO_TIME) is windows
    assert Begun(windows, NO_TIME).ending(80) is windows


def test_an_updated_model_knows_when_sessions_are_over(old: Model, updated: Model, new_log: Path):
    alone = oddlog.fit(new_log, detectors=["snn", "new-event"]).views[0].cut.closing
    of_old, of_both = (model.views[0].cut.closing for model in (old, updated))
    assert alone is not None
    assert of_old is not None
    assert of_both is not None
    wrapped = old.context.templates  # the new type is the row behind these
    assert len(wrapped) * 8 in of_both.state.tolist()
    assert of_both.start_templates == of_old.start_templates
    memory = Memory.from_states(updated.memory, 0).views["sessions"]
    assert memory.begun is not None
    assert len(memory.begun.windows) == 650


def test_remembered_times_come_back_as_they_were_spread():
    memory = Memory(
        {}, pl.DataFrame({"template": [0], "level": [3], "fold": [4], "n": [1]}), np.array([0.0, 10.0, 100.0])
    )
    assert memory.times_again(4).tolist() == [2, 7, 32, 77]
    assert memory.times_again(0).tolist() == []
    assert memory.by_type_in(np.array([0, 0, 1, 1, 2]))["fold"].to_list() == [2]
    assert Memory({}, memory.by_type, np.empty(0)).times_again(5).tolist() == []
    assert memory.by_type_in(np.empty(0, np.int64))["fold"].to_list() == [4]


def test_logs_of_another_system_are_asked_about(
    old: Model, new_log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    other = tmp_path / "disk.log"
    words = ("spun up", "scrubbed", "found a bad block", "moved a block", "spun down")
    other.write_text(
        "".join(
            f"2026-03-04 08:{disk:02d}:{i:02d},000 INFO store.disk: volume vol-{disk:04d} {said} after {i} ms\n"
            for disk in range(40)
            for i, said in enumerate(words)
        )
    )
    updated = oddlog.update(old, other)
    (told,) = caplog.messages
    assert told.startswith(
        "100 % of the 200 lines are of message types that the model had never seen: are these logs of"
    )
    assert updated.training["notes"] == [told]
    caplog.clear()
    assert not oddlog.update(old, new_log).training["notes"]
    assert not caplog.messages
