"""The same apps under SuperLink and SuperNodes: processes on loopback, TLS, registered keys."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("torch", reason="extra 'train'")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import oddlog
from oddlog.federated.bundle import write_app
from small_shop import shop_lines

BIN = Path(sys.executable).parent
LONGEST_S = 540


class Processes:
    """A SuperLink and what talks to it, ended with the test."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.running = []
        self.env = {
            **os.environ,
            "FLWR_HOME": str(folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "POLARS_MAX_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        (folder / "flwr").mkdir()
        certificates(folder)
        (folder / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{folder / "ca.pem"}"\n'
        )
        self.start(
            "flower-superlink", "--ssl-ca-certfile", "ca.pem", "--ssl-certfile", "server.pem", "--ssl-keyfile",
            "server.key", "--enable-supernode-auth", "--disable-runtime-dependency-installation",
            "--port", str(self.port),
        )  # fmt: skip

    def start(self, *command):
        with (self.folder / f"{command[0]}.{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def flwr(self, *command):
        """Ask the SuperLink; it is asked again until it is up."""
        until = time.monotonic() + 90
        while True:
            done = subprocess.run(
                [str(BIN / "flwr"), *command, "--format", "json"], cwd=self.folder, env=self.env,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode == 0 and '"success": false' not in done.stdout:
                return json.loads(done.stdout[done.stdout.index("{") :])
            if time.monotonic() > until:
                raise AssertionError(f"flwr {command}: {done.stdout} {done.stderr}")

    def site(self, name, *, registered=True, authority="ca.pem"):
        key = ec.generate_private_key(ec.SECP384R1())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        (self.folder / f"{name}.key").write_bytes(secret)
        (self.folder / f"{name}.pub").write_bytes(public)
        if registered:
            self.flwr("supernode", "register", f"{name}.pub", "here")
        config = {"site": name, "logs": self.folder / name, "work": self.folder / f"{name}.work"}
        config |= {"model": self.folder / f"{name}.model", "detectors": "new-event"}
        return self.start(
            "flower-supernode", "--root-certificates", authority, "--superlink", f"127.0.0.1:{self.port}",
            "--auth-supernode-private-key", f"{name}.key", "--port", str(free_port()),
            "--node-config", " ".join(f'{key}="{value}"' for key, value in config.items()),
        )  # fmt: skip

    def end(self):
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, 15)
        for process in self.running:
            process.wait(30)

    def logs(self):
        return "\n".join(f"== {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in self.folder.glob("*.log"))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def certificates(folder, name="ca"):
    """An authority, and a certificate of it for 127.0.0.1."""
    now = dt.datetime.now(dt.UTC)
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])

    def built(subject, public):
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(called)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    root = built("a test", authority.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = x509.KeyUsage(*[True, False, False, False, False, True, True, False, False])
    root = root.add_extension(usage, critical=True).sign(authority, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    own = built("127.0.0.1", server.public_key()).add_extension(names, critical=False).sign(authority, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(root.public_bytes(pem))
    if name == "ca":
        (folder / "server.pem").write_bytes(own.public_bytes(pem))
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "server.key").write_bytes(server.private_bytes(pem, *plain))


@pytest.fixture
def processes(tmp_path):
    made = Processes(tmp_path)
    yield made
    made.end()


def test_two_sites_learn_together_over_tls_and_a_stranger_does_not_get_in(processes):
    folder = processes.folder
    for i, name in enumerate(("alpha", "beta", "gamma", "delta")):
        (folder / name).mkdir()
        (folder / name / "app.log").write_text("\n".join(shop_lines(150, i)) + "\n")
    certificates(folder, "other")
    processes.site("alpha")
    processes.site("beta")
    stranger = processes.site("gamma", registered=False)
    mistaken = processes.site("delta", registered=False, authority="other.pem")
    write_app(folder / "app", folder / "server")
    config = "rounds=1 steps=40 tune_steps=0 wait_s=120.0 deadline_s=240.0"
    processes.flwr("run", "app", "here", "--run-config", config)
    until = time.monotonic() + LONGEST_S
    status = ""
    while not status.startswith("finished") and time.monotonic() < until:
        status = processes.flwr("ls", "here")["runs"][0]["status"]
    report = folder / "server" / "report.json"
    assert report.is_file(), processes.logs()
    rounds = json.loads(report.read_text())["rounds"]
    assert status == "finished:completed", (rounds, processes.logs())
    assert [sorted(one["counted"]) for one in rounds] == [["alpha", "beta"]] * 3
    assert rounds[1]["failed"] == ""
    assert "spoken" in [member.name for member in oddlog.load(folder / "alpha.model").views[0].members]
    assert stranger.poll() is not None or not (folder / "gamma.work").exists()
    assert mistaken.poll() is not None or not (folder / "delta.work").exists()
    assert (folder / "alpha.work" / "site.state").stat().st_mode & 0o777 == 0o600
