"""Who may import whom, and what the base install never imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "oddlog"

STAGES = {"sources", "formats", "cleaning", "templates", "windows", "features", "calibration", "incidents", "explain"}
MAY = {
    "types": set(),
    "errors": set(),
    "plugins": {"errors"},
    "config": {"errors"},
    **{stage: {"types", "errors"} for stage in STAGES},
    "formats": {"types", "errors", "plugins"},
    "thresholds": {"types", "errors", "calibration"},  # a tail is a tail, for p-values and for thresholds
    "rates": {"types", "errors", "calibration"},  # the same tail
    "shares": {"types", "errors", "rates"},  # the same limits
    "drift": {"types", "errors", "rates"},  # blocks of the same counts, and the same hours
    "detectors": {"types", "errors", "features", "plugins"},
    "datasets": {"types", "errors"},
    "feedback": {"types", "errors"},
    "pipeline": STAGES
    | {
        "types",
        "errors",
        "config",
        "plugins",
        "thresholds",
        "rates",
        "shares",
        "drift",
        "detectors",
        "model",
        "feedback",
    },
    "sinks": {"types", "errors"},
    "store": {"types", "errors"},
    # What the page shows is what programs are told: it asks the service, and words it as reports do.
    "web": {"types", "errors", "incidents", "feedback", "store", "service", "reports"},
    "service": {
        "types",
        "errors",
        "config",
        "sources",
        "sinks",
        "incidents",
        "templates",
        "cleaning",
        "pipeline",
        "model",
    }
    | {"feedback", "store"},
    "model": {"types", "errors", "pipeline"},
    "evaluation": STAGES
    | {"types", "errors", "plugins", "config", "pipeline", "model", "datasets", "feedback"}
    | {"detectors", "thresholds"},  # what `fit` ships, to be written down
    "reports": STAGES | {"types", "errors", "pipeline", "model", "evaluation"},  # the same figures of labels
    "training": {"types", "errors", "plugins", "detectors"},
    "federated": {"types", "errors", "config", "pipeline", "detectors", "features", "model", "plugins", "calibration"},
    "testing": {"types", "errors", "formats", "detectors", "sources", "sinks"},
}
HEAVY = ("torch", "sklearn", "onnx", "onnxscript", "scipy", "pandas", "pyarrow", "flwr", "cryptography", "Crypto")


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("oddlog"):
            inner = node.module.split(".")[1:]
            found |= {inner[0]} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("oddlog.")}
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_what_its_place_allows(path: Path):
    room = room_of(path)
    if room in {"__init__", "__main__", "cli"}:
        return
    allowed = MAY[room] | {room, "__version__"}
    assert imports(path) <= allowed, f"{room} may import {sorted(MAY[room])}"


def test_every_room_has_a_place_in_the_layers():
    rooms = {room_of(path) for path in files()} - {"__init__", "__main__", "cli"}
    assert rooms == set(MAY)


def test_no_room_has_a_name_that_says_nothing():
    names = {part.removesuffix(".py") for path in files() for part in path.relative_to(SOURCE).parts}
    assert not names & {"utils", "util", "helpers", "common", "core", "misc"}


def test_the_command_lines_import_nothing_heavy_at_the_top():
    code = "import sys, oddlog.cli.app; print([m for m in ('polars', 'numpy', 'onnxruntime') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_scoring_a_saved_model_needs_no_library_of_an_extra(small_model: Path, small_log: Path):
    block = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))  # None stands for: cannot be imported
import oddlog
found = oddlog.load({str(small_model)!r}).detect({str(small_log)!r})
print(len(found.scores), [m for m in {HEAVY!r} if sys.modules[m]])
"""
    out = subprocess.run([sys.executable, "-c", block], text=True, capture_output=True, check=False)
    assert out.returncode == 0, out.stderr
    n_windows, heavy = out.stdout.strip().split(" ", 1)
    assert int(n_windows) > 0
    assert heavy == "[]"


def test_no_state_is_pickled():
    for path in files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        assert not names & {"pickle", "dill", "joblib", "shelve", "marshal"}, path


def test_detect_loads_no_reports_unless_asked_for_one():
    code = (
        "import sys; from oddlog.cli import detect; from typer.testing import CliRunner; import typer;"
        "app = typer.Typer(); app.command()(detect.detect);"
        "CliRunner().invoke(app, ['nowhere.log', '-m', 'nowhere.model']);"
        "print([name for name in sys.modules if name.startswith('oddlog.reports')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
