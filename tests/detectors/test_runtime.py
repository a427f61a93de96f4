"""ONNX Runtime is told to keep to itself: no identifier is written for it, nothing waits to be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCORE = "import oddlog.detectors.MODULE, onnxruntime; onnxruntime.SessionOptions(); print('done')"


@pytest.mark.parametrize("module", ["runtime", "autoencoder", "trained", "spoken"])
def test_the_runtime_writes_no_identifier_and_keeps_nothing_to_be_sent(module: str, tmp_path: Path):
    folders = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    told_apart = ("CI", "ORT_DISABLE_TELEMETRY")  # it also keeps still where it takes a test for one
    environment = {name: value for name, value in os.environ.items() if name not in told_apart} | folders
    script = SCORE.replace("MODULE", module)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert list(tmp_path.rglob("*")) == []
