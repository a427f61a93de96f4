"""`oddlog serve` and `oddlog token` as a person would run them: a real server, by TLS, with tokens."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oddlog
from certificates import make_certificates

pytest.importorskip("uvicorn")
RUN = [sys.executable, "-c", "from oddlog.cli import main; main()"]
PATIENCE_S = 90.0


def oddlog_(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *map(str, words)], capture_output=True, text=True, check=False, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    folder = tmp_path_factory.mktemp("models") / "quick.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder


@pytest.fixture
def serve(model: Path) -> Iterator[Callable[..., int]]:
    """Start a server; return its port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: object) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started.append(subprocess.Popen([*RUN, "serve", "-m", str(model), "--port", str(port), *map(str, words)]))
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE_S)


def test_by_tls_and_with_tokens_of_two_tenants(serve: Callable[..., int], tmp_path: Path):
    data, made_of = tmp_path / "data", make_certificates(tmp_path)
    made = {}
    for name, tenant in (("one", ""), ("two", "acme")):
        done = oddlog_(
            "token",
            "create",
            name,
            "--scope",
            "read",
            "--scope",
            "ingest",
            "--tenant",
            tenant,
            "--data",
            data,
            "--json",
        )
        made[name] = json.loads(done.stdout)["token"]
    port = serve("--data", data, "--tenant", "acme", "--tls-cert", made_of.server_cert, "--tls-key", made_of.server_key)
    trusts = ssl.create_default_context(cafile=str(made_of.ca))

    def ask(path: str, token: str = "", body: bytes | None = None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"https://localhost:{port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, context=trusts, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert (ask("/healthz"), ask("/v1/incidents")) == (200, 401)
    assert ask("/v1/lines", made["two"], b"a line\n") == 204
    assert ask("/v1/incidents", made["two"]) == 200
    assert (data / "tenants" / "acme" / "oddlog.db").is_file()
    listed = oddlog_("token", "list", "--data", data, "--json")
    assert [json.loads(row)["state"] for row in listed.stdout.splitlines()] == ["holds", "holds"]
    assert oddlog_("token", "revoke", "two", "--data", data).returncode == 0
    until = time.monotonic() + PATIENCE_S
    while ask("/v1/incidents", made["two"]) != 401:
        assert time.monotonic() < until
        time.sleep(0.2)
    with pytest.raises(OSError, match=r"(?i)reset|closed|EOF|remote|400|invalid|illegal"):
        urllib.request.urlopen(f"http://localhost:{port}/healthz", timeout=20)


def test_letters_and_sources_of_a_tenant_reach_no_other(
    serve: Callable[..., int], model: Path, odd_log: Path, tmp_path: Path
):
    data, ours, theirs = tmp_path / "data", tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    tokens = {}
    for tenant in ("", "acme"):
        words = ("token", "create", f"of-{tenant or 'us'}", "--scope", "admin", "--scope", "ingest")
        done = oddlog_(*words, "--tenant", tenant, "--data", data, "--json")
        tokens[tenant] = json.loads(done.stdout)["token"]
    port = serve(
        "--data", data, "--tenant", f"acme={model}", "--sink", f"file:{ours}", "--sink", f"acme=file:{theirs}",
        "--source", f"acme={odd_log}", "--from-start",
    )  # fmt: skip

    def ask(path: str, tenant: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {tokens[tenant]}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers), timeout=20
        ) as answer:
            return answer.read()

    def wait_for(path: Path) -> list[dict]:
        until = time.monotonic() + PATIENCE_S
        while not path.exists() or not path.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.1)
        return [json.loads(row) for row in path.read_text().splitlines()]

    told = wait_for(theirs)  # their source has brought it
    assert told[0]["change"] == "new"
    assert "lost: carrier refused" in theirs.read_text()
    assert not ours.exists()
    for path in ("/v1/incidents", "/v1/letters?state=sent", "/v1/letters?state=waiting", "/v1/sources"):
        assert not any(json.loads(ask(path, "")).get(name) for name in ("incidents", "letters", "sources")), path
    ask("/v1/lines?source=shop", "", odd_log.read_bytes())
    ids = {one["id"] for one in wait_for(ours)}
    assert not ids & {one["id"] for one in wait_for(theirs)}
    assert {one["sink"] for one in json.loads(ask("/v1/letters?state=sent", "acme"))["letters"]} == {f"file:{theirs}"}
    assert {one["sink"] for one in json.loads(ask("/v1/letters?state=sent", ""))["letters"]} <= {f"file:{ours}"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "0.0.0.0"), "Whoever reaches 0.0.0.0"),
        (("--tls-cert", "nowhere.pem"), "TLS needs a certificate and its key"),
        (("--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem"), "TLS cannot be used"),
        (("--tenant", "../x"), "is no name of a tenant"),
        (("--store", "mysql://h/n"), "is no store"),
        (("--tenant", "acme", "--sink", "acmé=file:x"), "Add --tenant acmé"),
        (("--tenant", "acme", "--source", "acm=/var/log/*.log"), "Did you mean 'acme'?"),
    ],
)
def test_what_would_be_unsafe_or_senseless_is_refused_at_the_start(
    model: Path, tmp_path: Path, words: tuple[str, ...], says: str
):
    done = oddlog_("serve", "-m", model, "--data", tmp_path / "data", "--port", "0", *words)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_a_port_that_is_taken_is_refused_before_anything_is_done(model: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = oddlog_("serve", "-m", model, "--data", tmp_path / "data", "--port", port)
    said = f"oddlog: 127.0.0.1:{port} cannot be listened at: another program listens there. "
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{said}Give another port: --port {port + 1}.")
    assert not (tmp_path / "data").exists()


def test_a_second_service_on_the_same_folder_is_refused_until_the_first_has_ended(
    serve: Callable[..., int], model: Path, tmp_path: Path
):
    port = serve("--data", tmp_path / "data")
    [process] = (tmp_path / "data" / "serving").read_text().split()
    done = oddlog_("serve", "-m", model, "--data", tmp_path / "data", "--port", "0")
    assert (done.returncode, f"is in use by another service, process {process}." in done.stderr) == (2, True)
    os.kill(int(process), signal.SIGKILL)  # however it ends, the folder is free
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.1)
    serve("--data", tmp_path / "data")


def test_a_token_that_makes_no_sense_is_refused(tmp_path: Path):
    done = oddlog_("token", "create", "anna", "--scope", "reed", "--data", tmp_path)
    assert (done.returncode, "Did you mean 'read'?" in done.stderr) == (2, True)
    assert oddlog_("token", "create", "anna", "--scope", "read", "--data", tmp_path).returncode == 0
    done = oddlog_("token", "revoke", "nobody", "--data", tmp_path)
    assert (done.returncode, "oddlog token list" in done.stderr) == (2, True)


def test_tokens_of_a_folder_without_a_service_are_refused_and_nothing_is_made(tmp_path: Path):
    done = oddlog_("token", "list", "--data", tmp_path / "nowhere")
    assert (done.returncode, "holds no oddlog.db" in done.stderr) == (2, True)
    assert not (tmp_path / "nowhere").exists()
