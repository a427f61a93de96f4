"""Certificates for tests, made by openssl: an authority, a server, a client, all for ten years."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    folder: Path

    def __getattr__(self, name: str) -> Path:
        """``ca``, ``server_cert``, ``server_key``, ``client_cert``, ``client_key``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.folder / f"{name.replace('_', '-')}.pem"


def make_certificates(folder: Path) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Certificates(folder)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
    _run("req", "-x509", *key, "-subj", "/CN=test authority", "-keyout", folder / "ca-key.pem", "-out", made.ca)
    for who in ("server", "client"):
        names = folder / f"{who}.ext"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        request = folder / f"{who}.csr"
        _run("req", *key[:-2], "-subj", f"/CN={who}", "-keyout", folder / f"{who}-key.pem", "-out", request)
        signing = ["-CA", made.ca, "-CAkey", folder / "ca-key.pem", "-CAcreateserial", "-days", "3650"]
        _run("x509", "-req", "-in", request, *signing, "-extfile", names, "-out", folder / f"{who}-cert.pem")
    return made


def _run(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
