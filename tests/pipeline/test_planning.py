"""What ties lines together is looked for in all files at once; lines without a session have windows of their own."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.errors import TooLittleDataError
from oddlog.pipeline import planning
from oddlog.pipeline.planning import group_of, look, plan
from oddlog.pipeline.reading import Reading

STEPS = ("web", "cart", "payments")


def two_services(folder: Path, requests: int) -> Path:
    """Write a file per service; each request passes through all of them within a second."""
    folder.mkdir()
    for i, service in enumerate(STEPS):
        lines = [
            f'{{"ts":"2026-03-01T{r // 3600:02d}:{r // 60 % 60:02d}:{r % 60:02d}.{i}Z","level":"INFO","service":"{service}",'
            f'"request":"r{r:06x}","msg":"{service} {what}"}}'
            for r in range(requests)
            for what in ("takes the request", "answers the request")
        ]
        (folder / f"{service}.log").write_text("\n".join(lines))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_services(tmp_path / "logs", 1_500)


def test_a_few_lines_of_each_file_are_looked_at_not_many_of_the_first(folder, monkeypatch):
    monkeypatch.setattr(planning, "SAMPLE_RECORDS", 1_500)
    reading = Reading()
    head, records = look(reading, folder)
    assert head["service"].value_counts().sort("service").rows() == [("cart", 500), ("payments", 500), ("web", 500)]
    requests = head.group_by("f.request").len()
    assert requests.filter(pl.col("len") == 6).height >= 249  # whole, but for the last one
    assert (reading.lines, dict(reading.tally.counts)) == (0, {})  # nothing has been read yet
    assert sum(map(len, records)) == 9_000


def test_files_that_end_early_do_not_shorten_the_sample(folder, monkeypatch):
    (folder / "old.log").write_text('{"ts":"2026-03-01T00:00:01Z","service":"cron","msg":"backup done"}\n')
    monkeypatch.setattr(planning, "SAMPLE_RECORDS", 4_000)
    head, _ = look(Reading(), folder)
    assert head["service"].unique().sort().to_list() == ["cart", "cron", "payments", "web"]
    assert len(head) > 2_500


def test_the_id_that_passes_through_all_files_is_found(folder, monkeypatch):
    monkeypatch.setattr(planning, "SAMPLE_RECORDS", 1_500)
    head, _ = look(Reading(), folder)
    cuts, choice = plan(head, "auto", "", "")
    assert (choice.kind, choice.value) == ("field", "f.request")
    assert [name for name, _ in cuts] == ["sessions"]


def test_standard_input_and_a_single_file_are_read_once(folder):
    head, records = look(Reading(), folder / "web.log")
    assert len(head) == sum(map(len, records)) == 3_000


@pytest.fixture
def with_agent(folder: Path) -> Path:
    """Beside the requests an agent that names none, on a third of the lines."""
    lines = [
        f'{{"ts":"2026-03-01T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}Z","service":"agent","msg":"disk is fine"}}'
        for s in range(1_500)
        for _ in range(3)
    ]
    (folder / "agent.log").write_text("\n".join(lines))
    return folder


def test_lines_without_a_session_are_cut_into_windows_of_their_own(with_agent):
    head, _ = look(Reading(), with_agent)
    cuts, choice = plan(head, "f.request", "", "")
    assert [(name, cut.by, cut.beside) for name, cut in cuts] == [
        ("sessions", "session", None),
        ("windows", "time", choice),
    ]
    groups = head.with_columns(group_of(head, "windows", cuts[1][1]).alias("group"))
    assert groups.filter(pl.col("service") == "agent")["group"].unique().to_list() == ["agent"]
    assert groups.filter(pl.col("service") != "agent")["group"].null_count() == 4_500 * 2


def test_they_are_judged_and_kept_in_the_model(with_agent, tmp_path):
    model = oddlog.fit(with_agent, session="request", detectors=["snn"], rates=False)
    model.save(tmp_path / "m")
    today = tmp_path / "today.log"
    agent = '{"ts":"2026-03-02T00:00:%02dZ","service":"agent","msg":"disk is fine"}'
    today.write_text("\n".join(agent % second for second in range(60) for _ in range(30)))
    found = oddlog.load(tmp_path / "m").detect(today)
    odd = found.scores.filter("is_anomaly")
    assert odd.select("key", "n_events").rows() == [("agent@2026-03-02T00:00:00Z", 1_800)]


def unfinished_orders() -> str:
    """Return the lines of twelve orders that overlap, cut off when two of them have ended."""
    lines = [
        (start * 40 + step * 9, f"order ord-7{start:03d} step {'abcdef'[step % 6]} done")
        for start in range(12)
        for step in range(80)
    ]
    stamp = "2026-03-02 08:{:02d}:{:02d},000 INFO shop.web: {}\n"
    return "".join(stamp.format(at // 60, at % 60, text) for at, text in sorted(lines) if at < 2 * 40 + 79 * 9 + 5)


@pytest.mark.parametrize("piped", [False, True])
def test_where_too_few_sessions_end_windows_are_judged_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, piped: bool
):
    path = tmp_path / "orders.log"
    path.write_text(unfinished_orders())
    if piped:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    model = oddlog.fit("-" if piped else path, detectors=["new-event"], rates=False)
    assert [view.name for view in model.views] == ["windows"]
    said = model.reading["session"]["says"]
    assert said.startswith(r"none: what fits \b(ord-[0-9]+) ties lines together, but 2 sessions end in these logs")
    assert "so windows of 60 s per service are judged" in said
    assert caplog.messages == [f"Sessions: {said}."]
    assert model.reading["session"]["candidates"][0]["candidate"] == r"\b(ord-[0-9]+)"
    assert model.training["lines"] == len(unfinished_orders().splitlines())
    assert model.detect(path).lines == model.training["lines"]


def test_sessions_that_were_asked_for_are_not_replaced(tmp_path: Path):
    path = tmp_path / "orders.log"
    path.write_text(unfinished_orders())
    with pytest.raises(TooLittleDataError, match="2 finished sessions are too few"):
        oddlog.fit(path, session=r"(ord-\d+)", detectors=["new-event"], rates=False)


def test_what_ties_a_part_of_the_lines_is_named_with_its_file(tmp_path: Path):
    two_services(tmp_path / "shop", 400)
    agent = [f'{{"ts":"2026-03-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z","msg":"probe went well"}}' for i in range(9_000)]
    (tmp_path / "agent.log").write_text("\n".join(agent))
    head, _ = look(Reading(), [tmp_path / "shop" / "web.log", tmp_path / "agent.log"])
    cuts, choice = plan(head, "auto", "", "")
    assert choice.ties == ("f.request", pytest.approx(800 / 9_800, abs=0.001), str(tmp_path / "shop" / "web.log"))
    assert planning.session_says(choice, cuts[0][1]) == (
        "none: nothing ties all lines together, so windows of 60 s per service are judged (--session, --window); "
        "request ties 8% of them: --session request, or learn web.log by itself"
    )
