"""The endpoints hold what OpenAPI says of them, whatever is sent to them (schemathesis, bounded)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import oddlog
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources.spool import Spool
from oddlog.types import Tally
from stored_incidents import live

pytest.importorskip("schemathesis")
pytest.importorskip("fastapi")
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from oddlog.service import reading
from oddlog.service.api import make_app
from oddlog.service.watching import Watching
from oddlog.service.worker import Worker
from oddlog.store import Store

EXAMPLES = int(os.environ.get("ODDLOG_EXAMPLES", "12"))  # of each endpoint
UNREADY = ("/readyz", "/healthz")  # nobody judges here, and they say so: 503


@pytest.fixture
def operations(tmp_path: Path, quick_model: Path) -> Iterator[list[Any]]:
    model = tmp_path / "shop.model"
    model.symlink_to(quick_model)
    spool, store = Spool(tmp_path / "spool", Tally()), Store(tmp_path / "oddlog.db")
    store.save("m", [live(n) for n in range(3)])
    worker = Worker(spool, Streaming(oddlog.load(model)), store)
    app = make_app(worker, parts=[partial(reading.install, watching=Watching(worker, model))])
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    yield [found.ok() for found in schema.get_all_operations()]
    store.close()
    spool.close()


@pytest.mark.filterwarnings("ignore")  # of schemathesis' own
def test_whatever_is_sent_is_answered_as_described(operations: list[Any]):
    assert len(operations) > 20
    failed: list[str] = []
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            if case.path in UNREADY:
                assert case.call().status_code in (200, 503)
                return
            # OpenAPI cannot say what a shipper's body holds, which cursor is ours, and which time makes sense.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check()
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all that fail are told at once
                failed.append(f"{operation.method} {operation.path}: {type(error).__name__}: {error}")
    assert not failed, "\n\n".join(failed)
