"""`oddlog bench report`: the results as Markdown, and as one HTML page with figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.errors import InputError, install
from oddlog.evaluation import plots
from oddlog.evaluation.frozen import FILE, digest
from oddlog.evaluation.goals import goal_table, left_out_table, read_goals
from oddlog.evaluation.page import Picture, Section, page
from oddlog.evaluation.results import Store, last_of, machine
from oddlog.evaluation.scoring import Cases, cases_of, pattern_figures
from oddlog.evaluation.showing import pattern_table, word_table
from oddlog.evaluation.tables import (
    Result,
    Table,
    compared,
    failures,
    grouped,
    incident_table,
    learning_curves,
    line_table,
    main_table,
    prequential_table,
)
from oddlog.evaluation.versus import versus_table

THRESHOLDS = """\
Thresholds come from what was learned alone; *oracle* is the best one in hindsight, and no result. Intervals (95 %)
draw cases anew (sessions, runs, or stretches of time of a stream), of all seeds the lowest and the highest bound; ± is
the spread over seeds, which is another question."""
COLUMNS = """\
*Distinct*: each content counts once, unweighted. *Patterns*: how many sets of message types a person is shown;
*recall at 10*: the share of the anomalies that the first ten of them hold."""
TESTS = """\
*p*: how likely a difference in F1 to the first row is if neither is better, corrected for how many rows there are
(Holm); of all seeds that both have, a case that several of them judge being swapped in all of them at once."""
NO_FIGURES = "Figures are left out: they need the extra 'bench' (" + install("bench") + ")."


def write_reports(folder: Path, also: Sequence[Path] = (), goals: Path | None = None) -> list[Path]:
    """Write the reports of a bench into its folder; return the files.

    Parameters
    ----------
    folder : path
        Of the bench.
    also : sequence of path
        Folders of other benches, whose results are told beside.
    goals : path, optional
        A file of goals and of what was planned; see `goals`.

    Raises
    ------
    UserError
        If nothing was run in a folder, or the goals cannot be read.

    """
    stores = [Store(one) for one in (folder, *also)]
    for store in stores:
        if not store.results():
            hint = "Run some: oddlog bench run --set hdfs --data ../shared/data"
            raise InputError(f"{store.folder} holds no results.", hint)
        store.summarise()
    results = last_of(stores)
    sections = [*_promised(goals, results), *_sections(results)]
    drawn = [] if plots.can_draw() else [NO_FIGURES]
    paragraphs = [THRESHOLDS, COLUMNS, TESTS, *drawn, _default(results), _made_by(results)]
    commands = list(dict.fromkeys(one["command"] for one in results if one.get("command")))
    texts = {
        "report.md": _markdown(paragraphs, commands, sections),
        "report.html": page("Bench", paragraphs, commands, sections),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _made_by(results: Sequence[Result]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in results[-1]["versions"].items() if value)
    return f"{machine()}; {versions}."


def _markdown(paragraphs: Sequence[str], commands: Sequence[str], sections: Sequence[Section]) -> str:
    typed = "".join(f"    {command}\n" for command in commands)
    tables = "\n".join(one.table.markdown() for one in sections)
    told = "\n\n".join(paragraphs)
    return f"# Bench\n\n{told}\n\n{typed}\n{tables}"


def _default(results: Sequence[Result]) -> str:
    """Return which default was measured."""
    found = sorted({str(one["default"])[:16] for one in results if one.get("default")})
    now = digest()[:16]
    said = f"The default is frozen in `{FILE}`, SHA-256 `{now}…`"
    others = [one for one in found if one != now]
    if others:
        return f"{said}. *Some results are of another default*: {', '.join(f'`{one}…`' for one in others)}."
    return f"{said}, and all results are of it." if found else f"{said}."


def _promised(path: Path | None, results: Sequence[Result]) -> list[Section]:
    """Return what came of goals, and of what was planned."""
    if path is None:
        return []
    asked = read_goals(path)
    found = [goal_table(asked.goals, results, _cases) if asked.goals else None, left_out_table(asked.planned, results)]
    return [Section(one) for one in found if one is not None]


def _sections(results: Sequence[Result]) -> list[Section]:
    finished = [one for one in results if one["ok"]]
    sections: list[Section] = []
    for asked, of in grouped(finished, "set", "protocol", "recurring").items():
        curves = _curves(of)
        sections.append(Section(main_table(asked, of, compared(of, _cases)), _pictures(asked, curves)))
        more: list[Table | None] = [
            line_table(asked, of),
            incident_table(asked, of),
            prequential_table(asked, of),
            pattern_table(asked, curves),
            word_table(asked, of),
        ]
        sections += [Section(one) for one in more if one is not None]
    for table, shares, by_name in learning_curves(finished):
        drawn = (Picture(plots.learning(shares, by_name), table.title),) if plots.can_draw() else ()
        sections.append(Section(table, drawn))
    beside = versus_table(finished, _cases)
    sections += [Section(beside)] if beside is not None else []
    failed = failures(results)
    return [*sections, *([Section(failed)] if failed else [])]


def _curves(results: Sequence[Result]) -> list[plots.Curve]:
    """Return the cases of each detector's first seed, the best F1 first."""
    first = [one for one in results if one["cell"]["seed"] == min(each["cell"]["seed"] for each in results)]
    labelled = [one for one in first if one["figures"].get("f1") is not None]
    labelled.sort(key=lambda one: (-one["figures"]["f1"], one["cell"]["detector"]))
    return [_curve(one) for one in labelled]


def _curve(one: Result) -> plots.Curve:
    judged = _judged(one)
    threshold = judged["threshold"].first() if len(judged) else None
    threshold = float(threshold) if isinstance(threshold, float) else np.nan
    return plots.Curve(one["cell"]["detector"], _cases(one), threshold)


def _judged(one: Result) -> pl.DataFrame:
    return Store(Path(one["folder"])).judged(one["name"])


def _cases(one: Result) -> Cases:
    usual, anomalous = one["proportion"]
    return cases_of(_judged(one), (usual, anomalous), by_session=one["by_session"])


def _pictures(asked: Sequence[str], curves: Sequence[plots.Curve]) -> tuple[Picture, ...]:
    if not curves or not plots.can_draw():
        return ()
    what = f"{asked[0]}, {asked[1]}"
    left = f" The {plots.MOST} best of {len(curves)}." if len(curves) > plots.MOST else ""
    return (
        Picture(plots.roc(curves), f"{what}: ROC, with the area under it.{left}"),
        Picture(plots.precision_recall(curves), f"{what}: precision and recall, with the area.{left}"),
        Picture(plots.patterns(curves), f"{what}: recall against patterns shown.{left}"),
        *_a_day(what, curves, left),
        Picture(plots.distributions(curves), f"{what}: scores of usual and anomalous cases, and thresholds.{left}"),
    )


def _a_day(what: str, curves: Sequence[plots.Curve], left: str) -> list[Picture]:
    if not any(pattern_figures(one.cases) for one in curves):
        return []
    return [Picture(plots.patterns_a_day(curves), f"{what}: recall against patterns looked at a day.{left}")]
