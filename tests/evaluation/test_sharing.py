"""Cells that share what they are made of say what each says alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oddlog.datasets import LogSet, read_set
from oddlog.evaluation import sharing
from oddlog.evaluation.catalogue import Catalogue, catalogue
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.evaluation.protocols import split
from oddlog.evaluation.sharing import Shared

DETECTORS = ("snn", "new-event", "cart", "ocsvm", "snn")  # the last one after all others, on what they have left


def lines_of(folder: Path, made_set: LogSet) -> LogSet:
    """Return the set as a stream whose lines have labels."""
    (folder / "logs").mkdir(parents=True)
    text = (made_set.root / "jobs.log").read_text()
    (folder / "logs" / "jobs.log").write_text(text)
    marked = [n for n, line in enumerate(text.splitlines(), 1) if "quota" in line]
    (folder / "labels_lines.csv").write_text("\n".join(["source,line", *(f"jobs.log,{n}" for n in marked)]) + "\n")
    return read_set(folder).read_as(session="none", window="5")


def same(one: Outcome, other: Outcome) -> None:
    assert one.model.id == other.model.id  # of all that was learned, and of what was told of it
    assert one.judged.equals(other.judged)
    assert one.found.incidents == other.found.incidents
    assert one.found.tally.counts == other.found.tally.counts
    assert (one.lines is None) == (other.lines is None)
    assert one.lines is None or other.lines is None or one.lines.equals(other.lines)


@pytest.mark.parametrize("stream", [False, True])
def test_cells_that_share_say_what_each_says_alone(made_set: LogSet, tmp_path: Path, *, stream: bool):
    of = lines_of(tmp_path / "stream", made_set) if stream else made_set
    listed = catalogue(of)
    cells = [Cell(of.about.name, "time", detector) for detector in DETECTORS]
    with Shared(of, listed, split(listed, "time"), tmp_path / "root") as shared:
        together = [run(cell, of, listed, shared=shared) for cell in cells]
    for cell, one in zip(cells, together, strict=True):
        same(one, run(cell, of, listed, tmp_path / "root"))


def test_what_is_shared_is_made_once_and_each_is_told_what_it_would_have_cost_alone(
    made_set: LogSet, made_catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
):
    written = []
    write = sharing.write_rows

    def counted(*args: object) -> object:
        written.append(args[-1])
        return write(*args)

    monkeypatch.setattr(sharing, "write_rows", counted)
    cell = Cell("jobs", "time-usual", "new-event")
    with Shared(made_set, made_catalogue, split(made_catalogue, "time-usual")) as shared:
        first = run(cell, made_set, made_catalogue, shared=shared)
        spent = shared.learning.spent, shared.judging.spent
        second = run(replace(cell, detector="snn"), made_set, made_catalogue, shared=shared)
    assert [path.name for path in written] == ["train", "test"]
    assert (shared.learning.spent, shared.judging.spent) == spent
    assert shared.spared > 0
    assert min(first.fit_cpu_s, second.fit_cpu_s) >= spent[0] > 0
    assert min(first.detect_cpu_s, second.detect_cpu_s) >= spent[1] > 0
