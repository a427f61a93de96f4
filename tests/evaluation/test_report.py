"""The report of a bench: tables for every set and protocol, figures that need no colour, one page that fetches nothing."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from oddlog.datasets import LogSet
from oddlog.errors import MissingExtraError, install
from oddlog.evaluation import plots
from oddlog.evaluation.bench import Asked, run_bench
from oddlog.evaluation.page import Section, page
from oddlog.evaluation.report import write_reports
from oddlog.evaluation.scoring import Cases
from oddlog.evaluation.tables import Table


@pytest.fixture(scope="module")
def folder(made_set: LogSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("bench")
    protocols = ["time-usual:share=0.3", "time-usual:share=0.6", "landauer:share=0.999"]
    asked = Asked(
        [str(made_set.folder)], protocols, ["new-event", "snn"], where, answers=3, command="oddlog bench run <all>"
    )
    run_bench(asked, lambda _: None)
    return where


def curve(name: str, seed: int = 0) -> plots.Curve:
    draw = np.random.default_rng(seed)
    label = (draw.random(300) < 0.2).astype(np.int8)
    score = draw.normal(label * 2.0)
    whole = np.arange(300)
    hashes = whole.astype(np.uint64)
    key = pl.Series(map(str, whole))
    cases = Cases(key, whole, whole, label, score, score > 1, hashes, hashes % 7, whole, np.ones(300))
    return plots.Curve(name, cases, 1.0)


def test_markdown_holds_tables_commands_and_what_failed(folder: Path):
    text = write_reports(folder)[0].read_text()
    assert "    oddlog bench run <all>\n" in text
    assert "## jobs, time-usual:share=0.3\n" in text
    assert re.search(r"\| `new-event` \| 1 \| 1\.000–1\.000 \| 1\.000 \| 1\.000 \| 1\.000 ", text)
    assert "## jobs, time-usual: F1 by what was learned from\n\n| detector | 30% | 60% |" in text
    assert "| F1 after 0 | F1 after 5 | F1 after 10 | F1 after 50 | answers used | wrongly muted |" in text
    assert "## Failed" in text
    assert "220 usual cases are to be learned from" in text


def test_the_page_fetches_and_runs_nothing(folder: Path):
    text = write_reports(folder)[1].read_text()
    assert "oddlog bench run &lt;all&gt;" in text
    assert not re.search(r"<script|https?://|@import|url\(", text)


def test_the_page_has_the_figures_where_they_can_be_drawn(folder: Path):
    pytest.importorskip("matplotlib")
    text = write_reports(folder)[1].read_text()
    assert text.count("data:image/svg+xml;base64,") == 2 * 5 + 1


def test_without_the_extra_the_tables_are_written_and_say_so(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plots, "can_draw", lambda: False)
    text = write_reports(folder)[1].read_text()
    assert "data:image" not in text
    assert html.escape(install("bench")) in text
    with pytest.raises(MissingExtraError, match="needs the extra 'bench'"):
        plots.roc([curve("a")])


def test_no_two_curves_differ_by_colour_alone():
    looks = list(zip(plots.COLOURS, map(str, plots.DASHES), plots.MARKS, strict=True))
    for place in range(3):
        assert len({look[place] for look in looks}) == plots.MOST


def test_colours_keep_apart_in_grey():
    """Luminance (Rec. 709) of usual and anomalous differs enough for a copy in black and white."""

    def luminance(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert abs(luminance(plots.COLOUR_USUAL) - luminance(plots.COLOUR_ODD)) > 0.15


@pytest.mark.parametrize("draw", [plots.roc, plots.precision_recall, plots.patterns, plots.distributions])
def test_a_figure_is_the_same_bytes_again_and_names_no_more_than_it_can_hold(draw):
    pytest.importorskip("matplotlib")
    curves = [curve(f"d{i}", i) for i in range(9)]
    drawn = draw(curves)
    assert drawn == draw(curves)
    assert drawn.startswith(b"<?xml")


def test_a_detector_without_any_opinion_leaves_the_figures_standing():
    pytest.importorskip("matplotlib")
    one = curve("silent")
    silent = plots.Curve("silent", Cases(**{**vars(one.cases), "score": np.full(300, np.nan)}), np.nan)
    for draw in (plots.roc, plots.precision_recall, plots.patterns, plots.distributions):
        assert draw([silent])
        assert draw([])


def test_what_stands_in_a_table_is_text():
    table = Table("<b>", "a `b` *c*", ("x", "why"), (("1 < 2", "<script>"),))
    text = page("t", ["p"], ["c"], [Section(table)])
    assert "<h2>&lt;b&gt;</h2>" in text
    assert "a <code>b</code> <em>c</em>" in text
    assert "<td>1 &lt; 2</td><td class=why>&lt;script&gt;</td>" in text
    assert Table("t", "", ("x",), (("a|b",),)).markdown().endswith("| a/b |\n")
