"""The pages say what the code does: links lead somewhere, every command, option, format and detector is written about."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import oddlog
from oddlog.cli.app import app
from oddlog.errors import MissingExtraError
from oddlog.formats import registry
from oddlog.plugins import found

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"])
COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^>]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    assert broken_links(page) == []


def test_a_broken_link_would_be_noticed(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One `thing`: two\n[a](nope.md) [b](#one-thing-two) [c](#three) [d](https://example.com)\n")
    assert broken_links(page) == ["nope.md", "#three"]


def section(text: str, heading: str) -> str:
    """Return what stands below a heading of the second order."""
    return re.split(r"^## ", re.split(rf"^## {heading}$", text, flags=re.MULTILINE)[1], flags=re.MULTILINE)[0]


def options_of(command: str) -> list[str]:
    """Return the options of a command, and those of the commands below it."""
    below = getattr(COMMANDS[command], "commands", {}).values()
    params = [param for one in (COMMANDS[command], *below) for param in one.params]
    return [name for param in params for name in (*param.opts, *param.secondary_opts)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_in_its_section(command: str):
    text = section((DOCS / "cli.md").read_text(encoding="utf-8"), command)
    options = options_of(command)
    missing = [name for name in options if name.startswith("-") and f"`{name}" not in text]
    assert missing == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_section_names_no_option_that_is_not_there(command: str):
    text = section((DOCS / "cli.md").read_text(encoding="utf-8"), command)
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= set(options_of(command))


def test_the_options_of_oddlog_itself_are_written_about():
    text = (DOCS / "cli.md").read_text(encoding="utf-8").split("## Exit codes")[0]
    for param in typer.main.get_command(app).params:
        assert f"`{param.opts[0]}" in text


def test_every_option_of_fit_is_a_keyword_in_python():
    options = {param.name for param in COMMANDS["fit"].params} - {"model", "json"}
    not_typed = {"progress", "trained", "keeping"}  # values of Python
    assert options == set(inspect.signature(oddlog.fit).parameters) - not_typed


def test_every_format_is_written_about():
    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    built_in = [one.name for one in registry.all_formats() if type(one).__module__.startswith("oddlog.")]
    assert len(built_in) > 20
    assert [name for name in built_in if f"| `{name}` |" not in text] == []


def test_every_detector_is_written_about():
    text = (DOCS / "detectors.md").read_text(encoding="utf-8")
    built_in = [name for name, entry in found("oddlog.detectors").items() if entry.value.startswith("oddlog.")]
    assert len(built_in) >= 4
    assert [name for name in built_in if f"`{name}`" not in text] == []


def test_every_kind_of_reason_is_written_about():
    told = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/oddlog").rglob("*.py"))
    kinds = set(re.findall(r"Reason\(\s*\"(\w+)\"", told))
    assert {"unseen_template", "missing_event", "concentration"} <= kinds
    text = (DOCS / "explain.md").read_text(encoding="utf-8")
    assert [kind for kind in sorted(kinds) if f"| `{kind}` |" not in text] == []


def blocks(page: Path, language: str) -> list[re.Match[str]]:
    text = page.read_text(encoding="utf-8")
    return [block for block in FENCE.finditer(text) if block["language"] == language]


SESSIONS = [page for page in PAGES if any(">>>" in block["code"] for block in blocks(page, "python"))]


@pytest.mark.parametrize("page", SESSIONS, ids=name_of)
def test_python_sessions_print_what_the_page_says(page: Path):
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    n = 0
    for block in blocks(page, "python"):
        if ">>>" in block["code"]:
            session = doctest.DocTestParser().get_doctest(block["code"], names, page.name, str(page), 0)
            runner.run(session, out=said.append, clear_globs=False)
            names = session.globs
            n += len(session.examples)
    assert n > 0
    assert "".join(said) == ""


TESTED = [
    (page, block) for page in PAGES for block in blocks(page, "python") if (block["mark"] or "").startswith("test: ")
]


@pytest.mark.parametrize(("page", "block"), TESTED, ids=[block["mark"] for _, block in TESTED])
def test_examples_of_extending_pass_their_own_tests(page: Path, block: re.Match[str], tmp_path: Path):
    path = tmp_path / block["mark"].removeprefix("test: ")
    path.write_text(block["code"], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, page
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert tests
    before = dict(registry._registered)
    try:
        for test in tests:
            test()
    finally:
        registry._registered.clear()
        registry._registered.update(before)


def resolves(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:n]))
        except MissingExtraError:
            return True  # looked up where the extra is installed
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_qualified_name_of_ours_is_there(page: Path):
    named = set(re.findall(r"`(oddlog(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`", prose(page)))
    groups = {"oddlog.detectors", "oddlog.formats", "oddlog.toml"}  # of entry points; the name of a file
    assert [name for name in sorted(named - groups) if not resolves(name)] == []


def test_the_changelog_keeps_to_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[:2] == ["Unreleased", oddlog.__version__]
    entries = re.findall(r"^- (.*)$", text, re.MULTILINE)
    assert [entry for entry in entries if not entry.endswith(".") or ". " in entry] == []


def test_every_page_is_in_the_navigation_and_reachable_from_the_start():
    nav = re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["docs_dir"] == "docs"
    assert sorted(nav) == sorted(pages)
    seen, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or DOCS not in page.parents:
            continue
        seen.add(page)
        waiting += [(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(page))]
    assert {str(page.relative_to(DOCS)) for page in seen} == pages


def test_every_command_of_a_benchmark_names_a_script_that_is_there():
    named = {
        script for page in PAGES for script in re.findall(r"python ((?:benchmarks|examples)/\w+\.py)", page.read_text())
    }
    assert named
    assert [script for script in sorted(named) if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_holds_a_path_of_somebodys_machine(page: Path):
    assert re.findall(r"(?<![\w.])/(?:home|root|work|opt|tmp|Users)/[\w./-]*", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_begins_with_its_title_and_keeps_its_tables_whole(page: Path):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert re.findall(r"\{[A-Z_]+\}", prose(page)) == []  # a figure that is still to come
    rows = [line for line in prose(page).splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)
