"""Secrets by every way in are on no disk, no page and in no letter, where that is asked for."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from oddlog.cli.beginning import Told
from oddlog.cli.serving import Options, Tenant
from oddlog.service.intakes import open_intakes
from oddlog.service.redacting import MOST_KEY_LINES, Redacting
from oddlog.sinks import parse

PATIENCE_S = 60.0
WAYS = ("lines", "json", "loki", "otlp", "bulk", "hec", "raw", "syslog", "file", "name")
SECRET = {way: f"Zq{i}xV{way}9hunter2" for i, way in enumerate(WAYS)}  # one for each way in
KEY = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEowIBAAKCAQEAqZ3xV", "Zm9vYmFyYmF6cXV4", "-----END RSA PRIVATE KEY-----"]


def said(way: str) -> str:
    return f"ERROR shop.pay: login of ana failed, password={SECRET[way]} refused"


@pytest.fixture
def tenant(quick_model: Path, tmp_path: Path) -> Iterator[Tenant]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = Options("", 2.0, 1 << 24, 3600.0, 1, 0.0, 0.0, True, "", Told("", None))  # noqa: FBT003 - as serve has them
    sources = partial(
        open_intakes, syslog=[f"udp://127.0.0.1:{port}"], sources=[str(tmp_path / "app.log")], from_start=True
    )
    (tmp_path / "app.log").write_text(f"2026-03-03 09:00:00,000 {said('file')}\n")
    made = Tenant("", quick_model, tmp_path / "data", options, [parse(f"file:{tmp_path}/sent.jsonl")], sources)
    made.start()
    made.port = port
    yield made
    made.stop()


def push(client: TestClient, port: int) -> None:
    """Bring a secret by each way in."""
    at = "2026-03-03 09:00:00,000 "
    client.post("/v1/lines?source=app", content=at + said("lines") + "\n" + "\n".join(f"{at}{one}" for one in KEY))
    client.post("/v1/lines?source=json", content=json.dumps({"message": "x", "password": SECRET["json"]}))
    stream = {"app": "shop", "instance": f"token={SECRET['name']}"}
    values = [["1772528400000000000", said("loki")]]
    client.post("/loki/api/v1/push", json={"streams": [{"stream": stream, "values": values}]})
    attributes = [{"key": "api_key", "value": {"stringValue": SECRET["otlp"]}}]
    logs = [{"timeUnixNano": "1772528400000000000", "body": {"stringValue": "x"}, "attributes": attributes}]
    client.post("/v1/logs", json={"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]})
    client.post("/_bulk", content='{"index":{}}\n' + json.dumps({"message": said("bulk"), "n": 1}) + "\n")
    client.post("/services/collector/event", content=json.dumps({"event": {"message": "x", "secret": SECRET["hec"]}}))
    client.post("/services/collector/raw", content=at + said("raw"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"<11>Mar  3 09:00:00 h1 app: {said('syslog')}".encode(), ("127.0.0.1", port))


def test_they_are_in_no_byte_on_the_disk_on_the_page_or_in_letters(tenant: Tenant, tmp_path: Path):
    client = TestClient(tenant.app)
    push(client, tenant.port)
    until = time.monotonic() + PATIENCE_S
    sent = tmp_path / "sent.jsonl"
    while "login of ana" not in (sent.read_text() if sent.exists() else "") or len(tenant.store.sources()) < 8:
        assert time.monotonic() < until
        time.sleep(0.05)
    ids = [one.id for one in tenant.store.incidents(every=True)]
    pages = [
        "/now",
        "/incidents",
        "/templates",
        "/sources",
        "/metrics",
        "/v1/sources",
        "/v1/templates",
        "/v1/incidents",
    ]
    pages += [f"/incidents/{one}" for one in ids] + [f"/v1/incidents/{one}" for one in ids]
    shown = {page: client.get(page, headers={"accept": "text/html"}).content for page in pages}
    kept = {str(path): path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert any(b"login of ana" in content for content in shown.values())
    assert sum(b"login of ana" in content for content in kept.values()) >= 2  # the spool, the store
    secrets = [*SECRET.values(), *KEY[1:3]]
    everywhere = kept | shown | {"sent": sent.read_bytes()}
    found = [
        (secret, where) for secret in secrets for where, content in everywhere.items() if secret.encode() in content
    ]
    assert found == []


def test_a_key_that_comes_in_pieces_is_taken_out_and_one_that_never_ends_is_none():
    redacting = Redacting()
    told = [text for line in ["before", *KEY, "after"] for _, texts in redacting([("a", [line])]) for text in texts]
    assert told == ["before", "<redacted>", "<redacted>", "<redacted>", "<redacted>", "after"]
    assert redacting([("b", ["plain"])]) == [("b", ["plain"])]
    redacting([("a", KEY[:1])])
    told = redacting([("a", ["line"] * (MOST_KEY_LINES + 5))])[0][1]
    assert told[-5:] == ["line"] * 5
    assert len(told) == MOST_KEY_LINES + 5
