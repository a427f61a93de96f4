"""The whole walk-through of docs/federated.md as processes on loopback: TLS, registered keys, a server killed midway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("torch", reason="extra 'train'")

import oddlog
from oddlog.federated.checkpoint import Checkpoint
from oddlog.federated.plan import Plan
from oddlog.federated.simulate import simulate
from small_shop import shop_lines

LONGEST_S = 400
PLAN = {"rounds": 3, "steps": 40, "deadline_s": 120.0}


class Machines:
    """Processes of `oddlog federate` in one folder, ended with the test."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}
        self.env = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def command(self, *words):
        return [sys.executable, "-c", "from oddlog.cli import main; main()", "federate", *map(str, words)]

    def said(self, *words):
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout

    def start(self, name, *words):
        with (self.folder / f"{name}.out").open("w") as out:
            self.running[name] = subprocess.Popen(
                self.command(*words), cwd=self.folder, env=self.env, stdout=out, stderr=out
            )

    def site(self, name, *, logs="", key="", authority="tls/ca.pem"):
        options = ["--logs", logs or name, "--identity", key or f"{name}.key", "--authority", authority]
        options += ["--roster", "roster.txt", "--detectors", "new-event", "-m", f"{name}.model"]
        self.start(name, "site", "--server", self.address, *options, "--work", f"{name}.work")

    def until(self, what, why):
        end = time.monotonic() + LONGEST_S
        while not what():
            assert time.monotonic() < end, f"{why}\n{self.told()}"
            time.sleep(0.2)

    def over(self, name):
        self.until(lambda: self.running[name].poll() is not None, f"{name} goes on and on")
        return self.running[name].returncode

    def out(self, name):
        return (self.folder / f"{name}.out").read_text()

    def told(self):
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in self.folder.glob("*.out"))

    def status(self):
        try:
            return json.loads((self.folder / "federation" / "status.json").read_text())
        except FileNotFoundError:
            return {"state": "", "round": 0, "address": ""}

    def end(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait(30)


@pytest.fixture
def machines(tmp_path):
    made = Machines(tmp_path)
    yield made
    made.end()


def begin(machines, sites, plan=PLAN, more=""):
    folder = machines.folder
    for name in (*sites, "stranger"):
        line = machines.said("keys", name, "--identity", f"{name}.key")
        if name != "stranger":
            with (folder / "roster.txt").open("a") as roster:
                roster.write(line)
    machines.said("certificate", "127.0.0.1", "--folder", "tls")
    machines.said("certificate", "127.0.0.1", "--folder", "other")
    table = "\n".join(f"{name.removesuffix('_s')} = {value}" for name, value in plan.items())
    table = table.replace(f"deadline = {plan['deadline_s']}", f'deadline = "{plan["deadline_s"]:g}s"')
    (folder / "federation.toml").write_text(
        'address = "127.0.0.1:0"\nroster = "roster.txt"\ncertificate = "tls/server.pem"\nkey = "tls/server.key"\n'
        f'wait = "5min"\n{more}\n[plan]\n{table}\n'
    )
    machines.start("server", "server", "--config", "federation.toml")
    machines.until(lambda: machines.status()["address"], "the server does not listen")
    machines.address = machines.status()["address"]
    config = folder / "federation.toml"  # the same port again, when it is begun again
    config.write_text(config.read_text().replace("127.0.0.1:0", machines.address))


def test_three_sites_learn_over_tls_with_a_server_that_is_killed_and_who_does_not_belong_is_told_so(machines):
    folder = machines.folder
    for i, name in enumerate(("alpha", "beta", "gamma", "short")):
        (folder / name).mkdir()
        (folder / name / "app.log").write_text("\n".join(shop_lines(4 if name == "short" else 150, i)) + "\n")
    begin(machines, ("alpha", "beta", "gamma", "short"))
    machines.site("stranger", logs="alpha")
    machines.site("mistaken", logs="alpha", key="short.key", authority="other/ca.pem")
    for name in ("alpha", "beta", "gamma"):
        machines.site(name)
    assert machines.over("mistaken") == 2
    assert "cannot be trusted by other/ca.pem" in machines.out("mistaken")
    assert machines.over("stranger") == 2
    assert "does not let stranger in: its key is not in the roster" in machines.out("stranger")
    machines.site("short")

    machines.until(lambda: machines.status()["round"] >= 2 or machines.running["server"].poll() is not None, "round 2")
    machines.running["server"].send_signal(signal.SIGKILL)
    machines.over("server")
    assert "killed (its process is gone" in machines.said("status", "federation") or "killed" in machines.said(
        "status", "federation", "--json"
    )
    first = machines.out("server")
    machines.start("server", "server", "--config", "federation.toml")

    assert machines.over("server") == 0, machines.told()
    for name in ("alpha", "beta", "gamma"):
        assert machines.over(name) == 0, machines.told()
    assert machines.over("short") == 2
    assert "too few" in machines.out("short")
    assert "a stranger (key" in first
    status = json.loads(machines.said("status", "federation", "--json"))
    assert status["state"] == "finished"
    assert {name: one["state"] for name, one in status["sites"].items()} == {
        "alpha": "here", "beta": "here", "gamma": "here", "short": "left out",
    }  # fmt: skip
    assert "too few lines or windows to learn from" in status["sites"]["short"]["why"]
    report = json.loads(machines.said("report", "federation", "--json"))
    assert [one["number"] for one in report["rounds"]] == [0, 1, 2, 3, 4]
    assert [sorted(one["counted"]) for one in report["rounds"][:4]] == [["alpha", "beta", "gamma"]] * 4
    for name in ("alpha", "beta", "gamma"):
        assert [one.name for one in oddlog.load(folder / f"{name}.model").views[0].members] == ["new-event", "spoken"]
        assert (folder / f"{name}.work" / "site.state").stat().st_mode & 0o777 == 0o600
    equals_the_same_federation_in_one_process(folder)


def equals_the_same_federation_in_one_process(folder):
    plan = Plan(**PLAN, mode="secagg")
    simulate([folder / name for name in ("alpha", "beta", "gamma")], folder / "one", plan, detectors=["new-event"])
    one, several = (Checkpoint.read(at / "federation", plan) for at in (folder / "one", folder))
    np.testing.assert_allclose(several.weights, one.weights, atol=1e-5)


def test_a_site_killed_in_the_midst_does_not_stop_the_round_and_one_that_comes_late_takes_part(machines):
    folder = machines.folder
    for i, name in enumerate(("alpha", "beta", "gamma", "delta")):
        (folder / name).mkdir()
        (folder / name / "app.log").write_text("\n".join(shop_lines(150, i)) + "\n")
    plan = {"rounds": 15, "steps": 20, "deadline_s": 30.0, "mode": '"visible"'}
    begin(machines, ("alpha", "beta", "gamma", "delta"), plan, "sites = 3\n")
    machines.site("delta")
    machines.until(lambda: "delta: reading" in machines.out("delta"), "delta begins")
    machines.running["delta"].send_signal(signal.SIGSTOP)  # what takes long is behind it
    for name in ("alpha", "beta", "gamma"):
        machines.site(name)
    machines.until(lambda: "round 1:" in machines.out("server"), "round 1")
    machines.running["gamma"].send_signal(signal.SIGKILL)
    machines.over("gamma")
    machines.until(lambda: "without gamma" in machines.out("server"), "gamma is missed")
    machines.running["delta"].send_signal(signal.SIGCONT)
    assert machines.over("server") == 0, machines.told()
    for name in ("alpha", "beta", "delta"):
        assert machines.over(name) == 0, machines.told()
        assert oddlog.load(folder / f"{name}.model").views
    rounds = json.loads(machines.said("report", "federation", "--json"))["rounds"]
    missed = [one for one in rounds if "gamma" in one["dropped"]]
    assert missed
    assert all({"alpha", "beta"} <= set(one["counted"]) and not one["failed"] for one in missed)
    assert all(why.split(": ")[1] in {"gone", "no answer in 30 s"} for one in missed for why in one["dropped"].values())
    (first,) = [one for one in rounds if one["joined"]]
    assert first["joined"] == ["delta"]
    assert "delta" in rounds[-1]["counted"]


def test_ctrl_c_ends_a_server_at_once_and_is_written_down(machines):
    begin(machines, ("alpha", "beta"))
    machines.running["server"].send_signal(signal.SIGINT)
    assert machines.over("server") == 130
    assert machines.status()["state"] == "stopped"


def test_a_server_that_nobody_comes_to_fails_and_says_so(machines):
    begin(machines, ("alpha", "beta"))
    machines.running["server"].kill()
    machines.over("server")
    config = Path(machines.folder, "federation.toml")
    config.write_text(config.read_text().replace("5min", "1s"))
    machines.start("server", "server", "--config", "federation.toml")
    assert machines.over("server") == 1
    assert "0 sites can learn together, at least 2 must" in machines.out("server")
    assert machines.status()["state"] == "failed"
