"""Prometheus' own tool takes the alert rules and the metrics, and each rule fires at what it is for, and only then."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import oddlog
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources.spool import Spool
from oddlog.types import Tally

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from oddlog.service.api import make_app
from oddlog.service.worker import Worker
from oddlog.store import Store

ROOT = Path(__file__).resolve().parents[2]
RULES, CASES = ROOT / "docs" / "alert-rules.yml", ROOT / "tests" / "alert-rules-test.yml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
FROM_PROMETHEUS = {"up"}


@pytest.fixture
def metrics(quick_model: Path, tmp_path: Path) -> Iterator[str]:
    """What a service tells that has taken, refused and judged something."""
    spool, store = Spool(tmp_path / "spool", Tally()), Store(tmp_path / "oddlog.db")
    worker = Worker(spool, Streaming(oddlog.load(quick_model)), store)
    syslog = SimpleNamespace(name="syslog", lines=3, tally=Tally(), failure=None, alive=True)
    client = TestClient(make_app(worker, intakes=[syslog]))
    assert client.post("/v1/lines", content=b"2026-03-02 08:00:00,000 INFO shop.web: hello\n").status_code == 204
    assert client.post("/v1/logs", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    worker.stream.tally.add("line cut at 64 KiB")
    yield client.get("/metrics").text
    store.close()
    spool.close()


def promtool(*words: object, text: str = "") -> None:
    done = subprocess.run(
        [str(PROMTOOL), *map(str, words)], input=text, capture_output=True, text=True, cwd=CASES.parent, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_rules():
    promtool("check", "rules", RULES)


@needs_promtool
def test_each_rule_fires_at_what_it_is_for_and_only_then():
    promtool("test", "rules", CASES)


def test_each_rule_is_tried_where_it_fires_and_where_it_does_not():
    cases = CASES.read_text()
    for name in re.findall(r"alert: (\w+)", RULES.read_text()):
        assert re.search(rf"alertname: {name}\n +exp_alerts:\n +- exp_labels", cases), name
        assert f"alertname: {name}, exp_alerts: []" in cases, name


def test_rules_ask_for_metrics_that_there_are(metrics: str):
    told = set(re.findall(r"^(\w+?)(?:_bucket)?(?:{| )", metrics, re.MULTILINE))
    asked = {
        name
        for expr in re.findall(r"expr: (.*)", RULES.read_text())
        for name in re.findall(r"\boddlog_\w+|\bup\b", expr)
    }
    assert len(asked) > 8
    assert asked - told - FROM_PROMETHEUS == set()


@needs_promtool
def test_prometheus_finds_nothing_wrong_with_the_metrics(metrics: str):
    promtool("check", "metrics", text=metrics)
