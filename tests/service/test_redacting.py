"""Secrets by every way in are on no disk, no page and in no letter, where that is asked for."""

from __future__ import annotations

import base64
import hashlib
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
from oddlog.types import Tally

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
    told = redacting([("a", [*KEY[:1], *rows(64) * (MOST_KEY_LINES + 5)])])[0][1]
    assert told == ["<redacted>"] * (MOST_KEY_LINES + 1) + rows(64) * 5


def rows(*lengths: int) -> list[str]:
    """Return rows of base64 as keys have them."""
    return [base64.b64encode(hashlib.shake_256(bytes([i])).digest(80)).decode()[:n] for i, n in enumerate(lengths)]


PKCS8 = ["-----BEGIN PRIVATE KEY-----", *rows(64, 64, 64, 28), "-----END PRIVATE KEY-----"]
OPENSSH = ["-----BEGIN OPENSSH PRIVATE KEY-----", *rows(70, 70, 70, 70, 3), "-----END OPENSSH PRIVATE KEY-----"]
LOCKED = ["-----BEGIN RSA PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0F1E2D3C4B5A69788796A5B4C3D2E1F0", "", *rows(64, 64, 12), "-----END RSA PRIVATE KEY-----"]  # fmt: skip
WRITTEN = {
    "bare": "{row}",
    "iso": "2026-01-0{n}T00:00:0{n}.123Z ERROR app[1{n}]: {row}",
    "syslog": "<11>Jan  {n} 00:00:0{n} h1 sshd[17]: {row}",
    "klog": "I010{n} 00:00:00.00000{n}       1 keys.go:1{n}] {row}",
    "json": '{{"time":"2026-01-01T00:00:0{n}Z","msg":"{row}","n":{n}}}',
    "own": "key[{n}] = '{row}\\n';",
}


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("key", [PKCS8, OPENSSH, LOCKED], ids=["pkcs8", "openssh", "locked"])
def test_of_a_key_that_is_logged_row_by_row_nothing_is_left_whatever_stands_before_it(key: list[str], way: str):
    tally = Tally()
    redacting = Redacting(tally)
    lines = [WRITTEN[way].format(row=row, n=i % 10) for i, row in enumerate(key)]
    told = [text for line in ["started", *lines, "disk 3 failed"] for text in redacting([("a", [line])])[0][1]]
    gone = ["<redacted>" if row else "" for row in key]
    assert told == [
        "started", *(WRITTEN[way].format(row=row, n=i % 10) for i, row in enumerate(gone)), "disk 3 failed"
    ]  # fmt: skip
    assert dict(tally.counts) == {"secret redacted: private key": len([row for row in key if row])}


@pytest.mark.parametrize(
    "mentions",
    [
        "ERROR bad config: key must begin with -----BEGIN PRIVATE KEY-----",
        "login failed for user -----BEGIN PRIVATE KEY----- from 198.51.100.7",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_header_that_is_only_mentioned_takes_no_other_line_with_it(mentions: str):
    tally = Tally()
    redacting = Redacting(tally)
    others = [
        "2026-01-01T00:00:00 FATAL disk 1 failed",
        "login failed for user bob from 198.51.100.7",
        "restarting",
        "",
        "at com.example.Keys.load(Keys.java:17)",
        "java.lang.IllegalStateException",
    ] * 100
    told = [text for line in [mentions, *others] for text in redacting([("a", [line])])[0][1]]
    assert told == [mentions.replace(mentions[mentions.index("-") : mentions.rindex("-") + 1], "<redacted>"), *others]
    assert tally.counts["secret redacted: private key"] == 1


def test_a_header_somebody_brings_again_and_again_hides_nothing_else():
    redacting = Redacting()
    lines = [f"login failed for user {'bob' if i % 5 else KEY[0]} from 198.51.100.7" for i in range(100)]
    told = redacting([("http/auth", lines)])[0][1]
    assert all(one.startswith("login failed for user") and one.endswith("from 198.51.100.7") for one in told)


def test_a_key_goes_on_behind_a_line_of_another_program_and_its_end_takes_only_what_is_of_it():
    between = [*PKCS8[:2], "h1 cron: job done", "NullPointerException", *PKCS8[2:]]
    assert Redacting()([("a", between)])[0][1] == [
        *["<redacted>"] * 2, "h1 cron: job done", "NullPointerException", *["<redacted>"] * 4
    ]  # fmt: skip
    ends = [PKCS8[0], PKCS8[1], f"12:00 app: {PKCS8[2]} {PKCS8[3]} abc= {PKCS8[-1]} read"]
    assert Redacting()([("a", ends)])[0][1] == ["<redacted>", "<redacted>", "12:00 app: <redacted> read"]
    two = [f"{PKCS8[0]} {PKCS8[1]} {PKCS8[-1]} {KEY[0]}", *KEY[1:], "after"]
    assert Redacting()([("a", two)])[0][1] == ["<redacted> <redacted>", *["<redacted>"] * 3, "after"]


def test_what_is_taken_out_is_counted_by_kind():
    tally = Tally()
    Redacting(tally)([("a", ["password=abc token=x1y2z3", "plain", f"{KEY[0]}{KEY[1]}{KEY[3]}"])])
    assert dict(tally.counts) == {
        "secret redacted: password": 1, "secret redacted: token or key": 1, "secret redacted: private key": 1
    }  # fmt: skip
