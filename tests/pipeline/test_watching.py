"""Numbers beside the templates are those that stand in the lines."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest

import oddlog
from oddlog.pipeline.watching import NumberColumns, choose_numbers
from oddlog.templates import mask
from oddlog.types import Number


def records(messages: list[str], **fields: list[float | None]) -> pl.DataFrame:
    columns = {f"n.{name}": pl.Series(values, dtype=pl.Float32) for name, values in fields.items()}
    return pl.DataFrame({"message": messages}).with_columns(**columns)


def requests(n: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [
        f"served /cart/{i} for user{draw.randrange(99)} with HTTP {draw.choice([200] * 9 + [404])} in {draw.randrange(5, 90)}ms"
        for i in range(n)
    ]


def test_status_and_latency_are_chosen_and_the_path_is_not():
    numbers, told = choose_numbers(records(requests(300)))
    where = {one["name"]: one["where"] for one in told}
    assert [(where[number.name], number.unit) for number in numbers] == [
        ("served <*> for <*> with HTTP [<*>] in <*>", ""),
        ("served <*> for <*> with HTTP <*> in [<*>]", "ms"),
    ]


def test_numeric_fields_are_chosen_by_name():
    numbers, told = choose_numbers(records(["ping"] * 100, duration_ms=[5.0, 7.0] * 50, port=[8080.0] * 100))
    assert numbers == (Number("duration_ms", "ms"),)
    assert told[1]["why_not"] == "always the same"


def test_each_line_gets_its_own_values_and_other_lines_none():
    messages = [
        "served /a1 for user2 with HTTP 404 in 1.5s",
        "worker started",
        "served /b7 for user9 with HTTP 200 in 20ms",
    ]
    numbers, _ = choose_numbers(records(requests(300)))
    columns = NumberColumns(numbers).of(records(messages), mask(pl.Series(messages)))
    assert [column.name for column in columns] == ["n.00", "n.01"]
    assert [column.to_list() for column in columns] == [[404.0, None, 200.0], [1500.0, None, 20.0]]


def test_a_field_that_turns_to_text_half_way_is_absent_there():
    columns = NumberColumns([Number("size", "bytes")])
    some = pl.DataFrame({"message": ["a", "b"], "n.size": ["12", "many"]})
    assert columns.of(some, mask(some["message"]))[0].to_list() == [12.0, None]
    without = records(["a"])
    assert columns.of(without, mask(without["message"]))[0].to_list() == [None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> oddlog.Model:
    path = tmp_path_factory.mktemp("numbers") / "app.log"
    lines = [
        f"2026-03-01T10:{i // 60 % 60:02d}:{i % 60:02d}Z INFO web: {text}" for i, text in enumerate(requests(1_500))
    ]
    path.write_text("\n".join(lines))
    return oddlog.fit(path, detectors=["snn", "values"], window="60s")


def test_a_model_keeps_what_it_watches(model, tmp_path):
    model.save(tmp_path / "m")
    again = oddlog.load(tmp_path / "m")
    assert again.context.numbers == model.context.numbers
    assert [number.unit for number in again.context.numbers] == ["", "ms"]
    watched = [one for one in again.training["numbers"] if not one["why_not"]]
    assert watched[1]["median"] == pytest.approx(47, abs=5)
    assert math.isfinite(watched[1]["high"])


def test_detection_brings_the_numbers_to_the_windows(model, tmp_path, monkeypatch):
    seen = []
    score = type(model.views[0].members[0]).score
    monkeypatch.setattr(type(model.views[0].members[0]), "score", lambda self, w: seen.append(w) or score(self, w))
    path = tmp_path / "today.log"
    path.write_text("2026-03-02T10:00:00Z INFO web: served /cart/3 for user1 with HTTP 500 in 4200ms\n" * 3)
    model.detect(path)
    assert seen[0].numbers.tolist() == [[500.0, 4200.0]] * 3


def test_numbers_that_nobody_reads_are_not_watched(tmp_path):
    path = tmp_path / "app.log"
    lines = [f"2026-03-01T10:{i // 60:02d}:{i % 60:02d}Z INFO web: {text}" for i, text in enumerate(requests(900))]
    path.write_text("\n".join(lines))
    model = oddlog.fit(path, detectors=["new-event"], window="60s")
    assert model.context.numbers == ()
    assert not model.training["numbers"][0]["why_not"]
