"""A bench goes on where it was, and a cell that fails stops no other."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from oddlog.datasets import LogSet
from oddlog.errors import ConfigError, InputError
from oddlog.evaluation.bench import Asked, run_bench
from oddlog.evaluation.report import write_reports
from oddlog.evaluation.results import Store


def asked(folder: Path, of: LogSet, **options) -> Asked:
    chosen = {"protocols": ["time-usual"], "detectors": ["new-event"]} | options
    return Asked(sets=[str(of.folder)], folder=folder, command="oddlog bench run …", **chosen)


def test_a_finished_cell_is_not_run_again_and_a_failed_one_is(made_set: LogSet, tmp_path: Path):
    said: list[str] = []
    both = asked(tmp_path, made_set, protocols=["time-usual", "landauer:share=0.999"])
    first = run_bench(both, said.append)
    assert len(first.run) == 2
    [why] = first.failed.values()
    assert why.startswith("220 usual cases are to be learned from, and jobs has 220. Leave some to judge")
    again = run_bench(both, said.append)
    assert (len(again.finished_before), len(again.run)) == (1, 1)
    assert said[1] == "2 cells, 0 of them finished before"
    assert "F1 1.000" in " ".join(said)


def test_results_hold_figures_costs_versions_and_the_command(made_set: LogSet, tmp_path: Path):
    run_bench(asked(tmp_path, made_set), lambda _: None)
    [result] = json.loads((tmp_path / "results.json").read_bytes())
    assert (result["figures"]["f1"], result["figures"]["anomalous"]) == (1.0, 10)
    assert result["cost"]["peak_mb"] > 10
    assert result["cost"]["cpu_s"] > 0
    assert result["versions"]["oddlog"]
    assert result["command"] == "oddlog bench run …"
    frame = pl.read_parquet(tmp_path / "results.parquet")
    assert frame.select("set", "protocol", "detector", "seed", "f1").row(0) == ("jobs", "time-usual", "new-event", 0, 1)
    assert len(Store(tmp_path).judged(result["name"])) == result["figures"]["cases"]


def test_the_report_has_a_table_for_each_set_and_protocol(made_set: LogSet, tmp_path: Path):
    run_bench(asked(tmp_path, made_set, detectors=["new-event", "snn"], seeds=range(2), jobs=2), lambda _: None)
    text = (write_reports(tmp_path)[0]).read_text()
    assert "## jobs, time-usual" in text
    assert "| `snn` | 2 |" in text
    assert "oddlog bench run …" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"detectors": ["new-evnt"]}, "There is no detector 'new-evnt'. Did you mean 'new-event'?"),
        ({"protocols": ["tim"]}, "There is no protocol 'tim'. Did you mean 'time'?"),
        ({"protocols": ["time:shar=1"]}, "The protocol 'time' has no option 'shar'. Did you mean 'share'?"),
        ({"protocols": ["time:share=half"]}, "'half' is no number, as time's share must be."),
        ({"detectors": []}, "No detector was named."),
    ],
)
def test_what_there_is_not_is_told_before_anything_is_read(made_set: LogSet, tmp_path: Path, options, told):
    with pytest.raises(ConfigError) as caught:
        run_bench(asked(tmp_path, made_set, **options), lambda _: None)
    assert str(caught.value).startswith(told)
    assert not list(tmp_path.iterdir())


def test_an_unknown_set_names_the_nearest(tmp_path: Path):
    with pytest.raises(InputError, match=r"There is no set 'hdf', and no folder of that name\. Did you mean 'hdfs'\?"):
        run_bench(Asked(["hdf"], ["time"], ["snn"], tmp_path), lambda _: None)


def test_a_report_of_nothing_says_what_to_type(tmp_path: Path):
    with pytest.raises(InputError, match="oddlog bench run --set hdfs"):
        write_reports(tmp_path)
