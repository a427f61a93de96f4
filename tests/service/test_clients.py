"""Real clients push to the service: pino-loki and pino-elasticsearch (Node), the OpenTelemetry SDK (Python).

Wait for the clock: clients are other processes, or have threads of their own.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import detect_format
from oddlog.sources.spool import Spool
from oddlog.types import Tally
from serving import Serving

pytest.importorskip("uvicorn")
CLIENTS = Path(__file__).resolve().parents[1] / "clients"
LINES = 50
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (CLIENTS / "node_modules").is_dir(),
    reason="Node's clients are not installed: npm ci --prefix tests/clients",
)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", Tally())
    yield made
    made.close()


def records(spool: Spool) -> pl.DataFrame:
    """What was pushed, read as it would be judged."""
    lines = spool.poll(10_000, 0.0).lines
    return lines.select("source").hstack(detect_format(lines["text"], year=2026).format.parse(lines["text"], year=2026))


def run_node(script: str, port: int) -> None:
    done = subprocess.run(
        ["node", script, str(port), str(LINES)], cwd=CLIENTS, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_node
def test_pino_loki_pushes_all_of_its_lines(spool: Spool, tmp_path: Path, quick_model: Path):
    with Serving(spool, tmp_path, quick_model) as port:
        run_node("loki.js", port)
    found = records(spool).filter(pl.col("source") == "loki/shop")
    assert len(found) == LINES + 1
    assert found["message"].to_list()[:LINES] == [f"Order {i} received" for i in range(LINES)]
    assert set(found["level"].cast(pl.String)) == {"INFO", "ERROR"}
    assert set(found["service"]) == {"shop"}
    assert found["f.order"].to_list()[3] == "ord-3"


@needs_node
def test_pino_elasticsearch_takes_it_for_elasticsearch(spool: Spool, tmp_path: Path, quick_model: Path):
    with Serving(spool, tmp_path, quick_model) as port:
        run_node("elastic.js", port)
    found = records(spool)
    assert set(found["source"]) == {"es/shop"}
    # The client has several requests on their way at once: under load they overtake each other.
    assert sorted(found["message"]) == sorted([*(f"Order {i} received" for i in range(LINES)), "Order 7 lost"])
    assert found.filter(pl.col("message") == "Order 7 lost")["level"].cast(pl.String).to_list() == ["ERROR"]


@pytest.mark.filterwarnings("ignore:.LoggingHandler:DeprecationWarning")  # it is what programs use today
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_opentelemetry_sdk_exports_all_of_its_records(
    compression: str, spool: Spool, tmp_path: Path, quick_model: Path
):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OpenTelemetry SDK is not installed")
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415 - of an extra
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    with Serving(spool, tmp_path, quick_model) as port:
        provider = LoggerProvider(Resource({"service.name": "shop", "host.name": "web-1"}))
        exporter = OTLPLogExporter(f"http://127.0.0.1:{port}/v1/logs", compression=Compression(compression))
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        logger = logging.getLogger("test.shop")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(LoggingHandler(logger_provider=provider))
        for i in range(LINES):
            logger.info("Order %d received", i, extra={"order": f"ord-{i}"})
        logger.error("Order 7 lost")
        provider.shutdown()
    found = records(spool)
    assert set(found["source"]) == {"otlp/shop"}
    assert found["message"].to_list() == [*(f"Order {i} received" for i in range(LINES)), "Order 7 lost"]
    assert found["level"].cast(pl.String).to_list()[-2:] == ["INFO", "ERROR"]
    assert set(found["host"]) == {"web-1"}
    assert found["f.order"].to_list()[3] == "ord-3"
