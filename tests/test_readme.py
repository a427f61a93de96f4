"""What the README shows is what happens: its commands run word for word, its session prints what it prints."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from oddlog.cli.app import app
from small_shop import shop_lines

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(language, code) for language, code in FENCE.findall(README)]
SESSION = next(code for language, code in BLOCKS if code.startswith("$ oddlog"))
LINES = [line.removeprefix("$ ") for language, code in BLOCKS if not language for line in code.splitlines()]
OWN = next(code.splitlines() for language, code in BLOCKS if code.startswith("oddlog formats"))
PYTHON = next(code for language, code in BLOCKS if language == "python")
COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]


def oddlog(arguments: list[str], folder: Path, stdin: bytes | None = None) -> str:
    """Run the command line in `folder`; return what it prints as on a terminal of any width."""
    return run([sys.executable, "-c", "from oddlog.cli import main; main()", *arguments], folder, stdin)


def run(command: list[str], folder: Path, stdin: bytes | None = None) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def test_the_first_screen_is_one_sentence_two_commands_and_a_session():
    title, sentence, commands, session = README.split("\n\n")[:4]
    assert title == "# oddlog"
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert [line.split("#")[0].strip() for line in commands.splitlines()[1:-1]] == ["make demo", "make test"]
    assert session.startswith("```\n$ oddlog fit")


@pytest.mark.parametrize("line", [line for line in LINES if re.match(r"(zcat .*)?oddlog ", line)])
def test_every_oddlog_command_exists_with_its_options(line: str):
    asked = words(line[line.index("oddlog ") :])
    command = COMMANDS[asked[1]]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert {word for word in asked[2:] if word.startswith("-") and word != "-"} <= known


def test_every_option_named_in_the_text_exists():
    known = {name for command in COMMANDS.values() for param in command.params for name in param.opts}
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert {"--session", "--entity", "--false-alarms"} <= named <= known


def test_every_make_target_and_every_extra_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", "\n".join(LINES), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = set(re.findall(r"pip install '\.\[(\w+)\]'", README))
    assert {"train", "service"} == asked <= set(extras)


def test_the_session_is_what_make_demo_runs():
    shown = [line.removeprefix("$ ") for line in SESSION.splitlines() if line.startswith("$ ")]
    demo = (ROOT / "src/oddlog/cli/demo.py").read_text(encoding="utf-8")
    run_by_demo = [
        line.replace("{where}", "demo").replace("{model.name}", "shop.model")
        for line in re.findall(r"\$ (oddlog (?:fit|detect)[^\[]*)\[/bold", demo)
    ]
    assert shown == run_by_demo
    assert "@$(BIN)/oddlog demo demo\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demo/ in it, as `make demo` makes it."""
    folder = tmp_path_factory.mktemp("readme")
    oddlog(["simulate", "demo"], folder)
    return folder


@pytest.fixture(scope="module")
def shown(shop: Path) -> str:
    """What the session prints here. The members that give no reasons, and take a minute to learn, are left out."""
    fit, detect = [words(line) for line in SESSION.splitlines() if line.startswith("$ ")]
    oddlog([*fit[2:], "--detectors", "snn,new-event"], shop)
    found = f"oddlog.load({detect[5]!r}).detect({detect[3]!r})"
    code = f"import oddlog; from oddlog.cli import show; show.print_detection({found}, 20)"
    return run([sys.executable, "-c", code], shop)


def told(session: str) -> list[str]:
    """Return the reasons that a session shows."""
    return [line.strip() for line in session.splitlines() if re.match(r"     \S", line) and line.strip() != "…"]


def test_the_session_gives_the_reasons_it_gives_today(shown: str):
    in_readme = told(SESSION)
    assert any("198.51.100.7: 100 % of 313 × “log-in failed for user <*>" in line for line in in_readme)
    assert any("rolled back" in line for line in in_readme)
    assert [line for line in in_readme if line not in told(shown)] == []


def test_the_session_shows_raw_lines_that_are_in_the_logs(shop: Path):
    refs = re.findall(r"^       (\S+):(\d+)  (.*?)…?$", SESSION, re.MULTILINE)
    assert refs
    for source, number, text in refs:
        content = (shop / source).read_bytes()
        lines = (gzip.decompress(content) if source.endswith(".gz") else content).decode().splitlines()
        assert text in lines[int(number) - 1]


def test_the_session_counts_the_lines_that_are_there_today(shown: str):
    assert re.findall(r"Judged [\d,]+ lines", SESSION) == re.findall(r"Judged [\d,]+ lines", shown)


@pytest.fixture(scope="module")
def own_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands of the README expect: logs/ and today.log.gz."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "logs").mkdir()
    (folder / "logs" / "shop.log").write_text("\n".join(shop_lines(250, 1)) + "\n")
    late = [*shop_lines(30, 2, start=80_000, broken=2), *shop_lines(20, 3, start=90_000)]
    (folder / "today.log.gz").write_bytes(gzip.compress("\n".join([*late, ""]).encode()))
    return folder


def test_the_commands_for_ones_own_logs_run_word_for_word(own_logs: Path):
    printed = {}
    for line in OWN:
        if line.startswith("zcat "):
            before, _, after = line.partition(" | ")
            stdin = gzip.decompress((own_logs / words(before)[1]).read_bytes())
            printed[line] = oddlog(words(after)[1:], own_logs, stdin)
        else:
            printed[line] = oddlog(words(line)[1:], own_logs)
    formats, templates, fit, detect, inspect, report, tables, piped = printed.values()
    assert '"format":"log4j"' in formats
    assert "Order <*> receipt sent" in templates
    assert '"members"' in fit
    assert '"oddlog' not in fit
    assert "lost: carrier refused parcel" in detect
    assert '"session"' in inspect
    assert report.rstrip().endswith("Written to today.html")
    assert tables == detect
    assert piped.count("\n") == detect.count("\n") == 1
    assert {path.name for path in own_logs.iterdir()} >= {"app.model", "scores.parquet", "lines.parquet", "today.html"}


def test_the_python_of_the_readme_runs_word_for_word(own_logs: Path):
    printed = run([sys.executable, "-c", PYTHON], own_logs)
    assert "2 of 52 sessions odd" in printed
    assert "never seen before: “Order <*> lost: carrier refused parcel <*>” (2 lines in 2 sessions)" in printed
