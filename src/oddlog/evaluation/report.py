"""`oddlog bench report`: the results as Markdown, and as one HTML page with figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oddlog.errors import InputError
from oddlog.evaluation import plots
from oddlog.evaluation.page import Picture, Section, page
from oddlog.evaluation.results import Store, machine
from oddlog.evaluation.scoring import Cases, cases_of
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

THRESHOLDS = """\
Thresholds come from what was learned alone; *oracle* is the best one in hindsight, and no result. Intervals (95 %)
draw cases anew (sessions, runs, or stretches of time of a stream), of all seeds the lowest and the highest bound; ± is
the spread over seeds, which is another question."""
COLUMNS = """\
*Distinct*: each content counts once, unweighted. *Patterns*: how many sets of message types a person is shown;
*recall at 10*: the share of the anomalies that the first ten of them hold."""
TESTS = """\
*p*: how likely a difference in F1 to the first row is if neither is better, corrected for how many rows there are
(Holm); first seed."""
NO_FIGURES = "Figures are left out: they need the extra 'bench' (pip install 'oddlog[bench]')."


def write_reports(folder: Path) -> list[Path]:
    """Write the reports of a bench; return the files.

    Raises
    ------
    InputError
        If nothing was run there.

    """
    store = Store(folder)
    results = store.results()
    if not results:
        raise InputError(f"{folder} holds no results.", "Run some: oddlog bench run --set hdfs --data ../shared/data")
    store.summarise()
    sections = list(_sections(store, results))
    paragraphs = [THRESHOLDS, COLUMNS, TESTS, *([] if plots.can_draw() else [NO_FIGURES]), _made_by(results)]
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


def _sections(store: Store, results: Sequence[Result]) -> list[Section]:
    finished = [one for one in results if one["ok"]]
    sections: list[Section] = []
    for asked, of in grouped(finished, "set", "protocol", "recurring").items():
        curves = _curves(store, of)
        sections.append(Section(main_table(asked, of, compared(curves)), _pictures(asked, curves)))
        more: list[Table | None] = [line_table(asked, of), incident_table(asked, of), prequential_table(asked, of)]
        sections += [Section(one) for one in more if one is not None]
    for table, shares, by_name in learning_curves(finished):
        drawn = (Picture(plots.learning(shares, by_name), table.title),) if plots.can_draw() else ()
        sections.append(Section(table, drawn))
    failed = failures(results)
    return [*sections, *([Section(failed)] if failed else [])]


def _curves(store: Store, results: Sequence[Result]) -> list[plots.Curve]:
    """Return the cases of each detector's first seed, the best F1 first."""
    first = [one for one in results if one["cell"]["seed"] == min(each["cell"]["seed"] for each in results)]
    labelled = [one for one in first if one["figures"].get("f1") is not None]
    labelled.sort(key=lambda one: (-one["figures"]["f1"], one["cell"]["detector"]))
    return [_curve(store, one) for one in labelled]


def _curve(store: Store, one: Result) -> plots.Curve:
    judged = store.judged(one["name"])
    usual, anomalous = one["proportion"]
    cases: Cases = cases_of(judged, (usual, anomalous), by_session=one["by_session"])
    threshold = judged["threshold"].first() if len(judged) else None
    return plots.Curve(one["cell"]["detector"], cases, float(threshold) if isinstance(threshold, float) else np.nan)


def _pictures(asked: Sequence[str], curves: Sequence[plots.Curve]) -> tuple[Picture, ...]:
    if not curves or not plots.can_draw():
        return ()
    what = f"{asked[0]}, {asked[1]}"
    left = f" The {plots.MOST} best of {len(curves)}." if len(curves) > plots.MOST else ""
    return (
        Picture(plots.roc(curves), f"{what}: ROC, with the area under it.{left}"),
        Picture(plots.precision_recall(curves), f"{what}: precision and recall, with the area.{left}"),
        Picture(plots.patterns(curves), f"{what}: recall against patterns shown.{left}"),
        Picture(plots.distributions(curves), f"{what}: scores of usual and anomalous cases, and thresholds.{left}"),
    )
