"""What runs oddlog as a service: the unit is one that systemd takes, and no option in it is unknown."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from oddlog.cli.app import app

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
SYSTEMD = shutil.which("systemd-analyze")


def known_options(command: str) -> set[str]:
    found = typer.main.get_command(app).commands[command]
    return {option for param in found.params for option in param.opts}


@pytest.mark.parametrize("name", ["oddlog.service", "Containerfile"])
def test_the_command_that_is_run_is_one_that_there_is(name: str):
    text = (DEPLOY / name).read_text()
    (line,) = re.findall(r"^(?:ExecStart=|ENTRYPOINT ).*serve.*$", text, re.MULTILINE)
    used = set(re.findall(r"--[a-z-]+", line))
    assert used
    assert used <= known_options("serve")


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed: apt-get install systemd")
def test_systemd_takes_the_unit_and_calls_it_safe(tmp_path: Path):
    unit = tmp_path / "oddlog.service"
    unit.write_text((DEPLOY / "oddlog.service").read_text().replace("/srv/oddlog/bin/oddlog", "/bin/true"))
    checked = subprocess.run([str(SYSTEMD), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    judged = subprocess.run(
        [str(SYSTEMD), "security", "--offline=yes", "--threshold=20", str(unit)], capture_output=True, check=False
    )
    assert judged.returncode == 0  # exposure of at most 2.0 of 10
