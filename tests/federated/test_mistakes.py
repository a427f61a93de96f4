"""What a person is told at once: one line with what to type next, exit 2, before anybody is asked or a log is read."""

from __future__ import annotations

import signal
import sys

import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("opacus", reason="extra 'federated'")

from oddlog.cli import main
from oddlog.federated import running
from small_shop import shop_lines


@pytest.fixture
def federate(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["oddlog", "federate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return ended.value.code, told.out + told.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def server(federate, tmp_path):
    lines = [federate("keys", name, "--identity", f"{name}.key")[1] for name in ("alpha", "beta")]
    (tmp_path / "roster.txt").write_text("".join(lines))

    def run(text):
        (tmp_path / "federation.toml").write_text(text)
        return federate("server", "--config", "federation.toml")

    return run


LEAST = "cannot be promised: at δ = 1e-05 what a site sends costs 0.033 at least"
WRITE = "Write an epsilon of 0.04 or more, or a larger delta."


def test_an_epsilon_that_nothing_can_keep_to_is_told_before_a_log_is_read(federate, tmp_path):
    code, told = federate("simulate", "--sites", "a", "b", "--epsilon", ".02", "--weigh", "data")
    assert code == 2
    assert told.count("\n") == 1
    assert f"ε = 0.02 {LEAST}" in told
    assert WRITE in told
    assert not list(tmp_path.iterdir())


def test_a_server_does_not_listen_for_an_epsilon_that_nothing_can_keep_to(server, tmp_path):
    code, told = server("[plan]\nepsilon = 0.02\nweigh = 'data'\n")
    assert code == 2
    assert told.count("\n") == 1
    assert f"ε = 0.02 {LEAST}" in told
    assert not (tmp_path / "federation").exists()


@pytest.mark.parametrize(
    ("most", "says"),
    [(("--epsilon", "0.02"), LEAST), (("--epsilon", "8", "--delta", "0"), "δ = 0 is no chance.")],
)
def test_a_site_does_not_read_its_logs_for_a_bound_that_no_server_can_keep_to(federate, most, says):
    federate("keys", "alpha", "--identity", "alpha.key")
    code, told = federate("site", "--server", "127.0.0.1:1", "--logs", "none", "--identity", "alpha.key", *most)
    assert code == 2
    assert told.count("\n") == 1
    assert says in told


@pytest.mark.parametrize(
    ("logs", "says"),
    [("nothere", "nothere"), ("empty", "empty"), ("short", "too few")],
)
def test_a_site_that_cannot_take_part_says_why_before_the_server_asks(federate, monkeypatch, tmp_path, logs, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "app.log").write_text("\n".join(shop_lines(4, 0)) + "\n")

    class Node:
        def __init__(self, *_):
            pass

        def run(self, _answer):
            pass

    monkeypatch.setattr(running, "SuperNode", Node)
    federate("keys", "alpha", "--identity", "alpha.key")
    code, told = federate("site", "--server", "127.0.0.1:1", "--logs", logs, "--identity", "alpha.key")
    assert code == 2
    first, connecting, last = told.strip().split("\n")[-3:]
    assert first.startswith("alpha: takes no part, and will tell the server so: ")
    assert connecting == "alpha: connecting to 127.0.0.1:1"
    assert last.startswith("oddlog: ")
    assert says in first
    assert says in last
    assert not (tmp_path / "alpha.model").exists()
