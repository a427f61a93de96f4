"""A bench goes on where it was, and a cell that fails stops no other."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from made_sets import write_made_set
from oddlog.datasets import LogSet, read_set
from oddlog.errors import ConfigError, InputError
from oddlog.evaluation.bench import Asked, quick, run_bench
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


def test_quick_chooses_what_is_there_and_ends_in_time(made_set: LogSet, tmp_path: Path):
    (tmp_path / "data" / "hdfs").mkdir(parents=True)
    (tmp_path / "data" / "hdfs" / "HDFS.log").write_text("x")
    chosen = quick(Asked([], [], [], tmp_path / "bench", data=tmp_path / "data"))
    assert list(chosen.sets) == ["hdfs", "shop"]
    assert chosen.budget_s < 600
    named = quick(asked(tmp_path / "bench", made_set))
    assert (named.sets, list(named.detectors)) == ([str(made_set.folder)], ["new-event"])


def test_what_is_not_begun_when_the_time_is_up_is_left_for_the_next_time(made_set: LogSet, tmp_path: Path):
    """The clock jumps by a minute each time somebody looks: there is time for one of two splits."""
    seconds = itertools.count(0, 60)
    said: list[str] = []
    both = asked(tmp_path, made_set, protocols=["time-usual", "time"], budget_s=100.0)
    first = run_bench(both, said.append, lambda: float(next(seconds)))
    assert (len(first.run), len(first.left)) == (1, 1)
    assert said[-1] == "1 cells are left, the time is up: type the same again to go on"
    again = run_bench(both, said.append, lambda: 0.0)
    assert (len(again.finished_before), len(again.run)) == (1, 1)


def test_a_cell_whose_process_is_killed_says_so_and_the_others_go_on(
    made_set: LogSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    start, killed = subprocess.Popen, []

    def kill_first(command: list[str], **options: object) -> subprocess.Popen[str]:
        if "oddlog.evaluation.worker" in command and not killed:
            killed.append(command)
            command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        return start(command, **options)

    monkeypatch.setattr(subprocess, "Popen", kill_first)
    told = run_bench(asked(tmp_path, made_set, detectors=["new-event", "snn"]), lambda _: None)
    assert list(told.failed.values()) == ["its process was ended by SIGKILL (out of memory?)"]
    assert len(told.run) == 2


def test_a_cell_that_takes_too_long_is_ended_and_the_others_go_on(made_set: LogSet, tmp_path: Path):
    """No cell can be done in a millisecond; each is told as what it is."""
    told = run_bench(asked(tmp_path, made_set, detectors=["new-event", "snn"], most_s=0.001), lambda _: None)
    assert list(told.failed.values()) == ["it took longer than 0 s"] * 2


@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_who_stops_a_bench_waits_for_no_cell_and_none_has_failed(
    made_set: LogSet, tmp_path: Path, number: signal.Signals, *, to_all: bool
):
    """Ctrl-C of a terminal reaches the processes of the cells, too; `kill` does not."""
    pytest.importorskip("torch", reason="a cell that takes long is a network's: install the extra 'train'")
    words = ["bench", "run", "--sets", str(made_set.folder), "--protocols", "time-usual", "--folder", str(tmp_path)]
    words += ["--detectors", "new-event,dae:steps=100000000,snn"]
    bench = subprocess.Popen([sys.executable, "-m", "oddlog", *words], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "cells").glob("*.json")):
            assert bench.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (os.killpg if to_all else os.kill)(bench.pid, number)
        assert bench.wait(60) != 0
        with pytest.raises(ProcessLookupError):  # nothing of its group is left
            os.killpg(bench.pid, 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(bench.pid, signal.SIGKILL)
        bench.wait()
    results = [json.loads(path.read_bytes()) for path in (tmp_path / "cells").glob("*.json")]
    assert [(one["cell"]["detector"], one["ok"]) for one in results] == [("new-event", True)]


def test_cells_of_one_split_are_dealt_out_to_several_processes(made_set: LogSet, tmp_path: Path, monkeypatch):
    start, workers = subprocess.Popen, []

    def counted(command: list[str], **options: object) -> subprocess.Popen[str]:
        if "oddlog.evaluation.worker" in command:
            workers.append(command)
        return start(command, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
    three = ["new-event", "snn", "count-neighbour"]
    told = run_bench(asked(tmp_path, made_set, detectors=three, jobs=2), lambda _: None)
    assert (len(told.run), len(told.failed), len(workers)) == (3, 0, 2)


def test_an_unlabelled_set_says_what_it_can_have(tmp_path: Path):
    of = read_set(write_made_set(tmp_path / "jobs"))
    (of.folder / "labels.csv").unlink()
    said: list[str] = []
    told = run_bench(asked(tmp_path / "bench", of, protocols=["time"]), said.append)
    assert not told.failed
    assert "jobs has no labels: how many windows are odd can be said, and what it costs." in " ".join(said)
    assert "nothing is known of right and wrong" in write_reports(tmp_path / "bench")[0].read_text()


def test_who_learned_from_labels_is_told_and_left_out_where_there_are_none(made_set: LogSet, tmp_path: Path):
    said: list[str] = []
    told = run_bench(asked(tmp_path, made_set, protocols=["time", "random"], detectors=["cart"]), said.append)
    assert not told.failed
    assert told.skipped == {"jobs random cart": "it learns from labels, and there are none to see"}
    assert "| `cart`, from labels | 1 |" in write_reports(tmp_path)[0].read_text()
