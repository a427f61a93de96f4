"""Notes on what a format does not fit, and lines cut by a container's runtime that are read again."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.formats import Detected, by_name
from oddlog.pipeline.misfits import misfits
from oddlog.pipeline.reading import Reading


def test_a_file_of_two_formats_is_told_where_it_is_learned_from_and_judged(tmp_path: Path):
    def line(i: int, what: str) -> str:
        return f"2026-03-02 {i // 60:02}:{i % 60:02}:12,345 INFO shop: order ord-{1000 + i} {what}"

    usual = [line(i, what) for i in range(300) for what in ("received", "charged", "sent")]
    mixed = [text for one in usual for text in (one, "GET /healthz 200 in 4 ms")]
    (tmp_path / "one.log").write_text("\n".join(usual))
    (tmp_path / "two.log").write_text("\n".join(mixed))
    said = (
        "two.log is read as log4j, which fits 50% of its first lines; what does not fit is joined to the line before, "
        "or left out. Are there two formats in one file? Split it, or name the format: --format NAME. "
        f"See: oddlog formats {tmp_path}/two.log"
    )
    quick = {"detectors": ["new-event"]}
    model = oddlog.fit(tmp_path / "one.log", **quick)
    assert not [note for note in model.training["notes"] if "two formats" in note]
    assert said in model.detect(tmp_path / "two.log").notes
    assert said in oddlog.fit(tmp_path / "two.log", **quick).training["notes"]


@pytest.mark.parametrize(
    ("name", "share_ok", "told"), [("json", 0.79, True), ("json", 0.8, False), ("plain", 0, False)]
)
def test_plain_text_and_what_fits_most_lines_is_not_told(name: str, share_ok: float, told: bool):
    assert bool(misfits({"a.log": Detected(by_name(name), 0.5, share_ok)})) is told


def test_the_worst_of_several_is_named():
    found = {f"{share}.log": Detected(by_name("json"), share, share) for share in (0.7, 0.5, 0.6)}
    [said] = misfits(found)
    assert said.startswith("0.5.log is read as json, which fits 50% ")
    assert said.endswith(" So with 2 more.")


def test_a_line_cut_by_the_runtime_is_shown_whole_though_only_its_beginning_was_asked_for(tmp_path: Path):
    at = "2026-03-02T08:00:00.000000001Z stderr"
    lines = [f"{at} F started", f"{at} P main.check(0xc0", f"{at} F 01, 0x2a)", f"{at} F over", f"{at} F started anew"]
    (tmp_path / "pod.log").write_text("\n".join(lines) + "\n")
    reading = Reading()
    records = pl.concat(list(reading.records(tmp_path / "pod.log")), how="diagonal")
    assert records["message"].to_list() == ["started", "main.check(0xc001, 0x2a)", "over", "started anew"]
    source = str(tmp_path / "pod.log")
    again = reading.again({source: [2, 5]})
    assert again.select("line", "message").rows() == [(2, "main.check(0xc001, 0x2a)"), (5, "started anew")]
