"""The examples run as they stand, and print what they are there to show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RSYSLOG = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
PRINTS = {
    "case_studies_live.py": (
        "storm: 80 windows of payments, gateway, inventory, one incident",
        "  unseen_template: never seen before: “processor.api is not set, release default <*> is used” (3 lines)",
        "  rate: 153 ERROR lines of payments in 10 min, in the two hours before 0.059 a minute, at most 5 in training",
        "attack: 2 windows of gateway, auth, db, one incident",
        "  concentration: 198.51.100.7: 100 % of 313 × “log-in failed for user <*> from <*>: wrong password”",
        "third: told once, called usual; a day later 0 more",
        "after a restart: 0 more",
    ),
    "learn_and_detect.py": (
        "15,215 lines: ",
        "unexpected_event: “order <*> rolled back: payment failed” is here; 1 % of usual sessions have it",
        "concentration: 198.51.100.7: 100 % of 313 × “log-in failed for user <*> from <*>: wrong password”",
        "unseen_template: never seen before: “processor.api is not set, release default <*> is used” (3 lines)",
        "    auth.log:473  {",
    ),
    "look_inside_templates.py": (
        "template 0: 3 lines  order <*> created for cart <*>: <*> EUR",
        "values of the first message: ['48213', 'c-77120', '149.90']",
        "6545417bee81388d  template 1: connection to <*> was reset by peer",
        "0d5304543cc20875  unseen until now: order <*> rolled back: payment failed",
    ),
    "own_format.py": (
        "format furnace, confidence 1.00",
        "│ 2026-03-02 07:24:11 UTC ┆ ERROR   ┆ furnace-3 ┆ burner 2 does not answer        │",
    ),
}
AT_SIXTY = (
    r"storm: (79|8\d) windows of payments, gateway, inventory, one incident",
    r"unseen_template: never seen before: “processor\.api is not set, release default <\*> is used” \(3 lines\)",
    r"rate: 15\d ERROR lines of payments in 10 min, .* at most 5 in training",
    r"attack: \d+ windows of .*, one incident",
    r"concentration: 198\.51\.100\.7: 100 % of \d{3} × “log-in failed for user <\*> from <\*>: wrong password”",
    r"rate: 4\d\d lines of “log-in failed for user <\*> from <\*>: wrong password” from auth in 10 min",
    r"third: told once, called usual; a day later 0 more",
    r"after a restart: 0 more",
)


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_prints_what_it_is_there_to_show(name: str, tmp_path: Path):
    printed = run(name, tmp_path)
    assert [line for line in PRINTS[name] if line not in printed] == []


@pytest.mark.parametrize("by", ["otlp", "rsyslog"])
def test_the_case_studies_go_the_whole_way_at_sixty_times_their_pace(
    by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What is planted goes by at sixty times its pace, the rest of the day faster; seconds are those of the wall."""
    if by == "rsyslog" and RSYSLOG is None:
        pytest.skip("rsyslog is not installed: apt-get install rsyslog")
    printed = run("case_studies_live.py", tmp_path, "--by", by, "--speed", "60", "--elsewhere", "1200")
    # Where the machine is held up for a second, that is a minute there: a session more or less may be odd.
    assert [line for line in AT_SIXTY if not re.search(line, printed)] == [], printed
    assert printed.count("  on the page: yes") == 2
    took_s = [float(one) for one in re.findall(r"shown (\S+) s after its first line was sent", printed)]
    with capsys.disabled():
        sys.stdout.write(f" [{by}: shown after {' and '.join(map(str, took_s))} s] ")
    assert len(took_s) == 2
    assert max(took_s) < 20  # some seconds: 1 to 4 on two cores that have other things to do, too
    if ALERTMANAGER is not None:
        assert printed.count("  Alertmanager told of it: 1 time") == 2
        assert len(re.findall(r"  told \S+ s after", printed)) == 2


def run(name: str, tmp_path: Path, *words: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    return done.stdout
