"""`oddlog bench report`: the results as Markdown."""

from __future__ import annotations

from pathlib import Path

from oddlog.errors import InputError
from oddlog.evaluation.results import Store, machine
from oddlog.evaluation.tables import failures, main_tables

HOW_TO_READ = """\
Thresholds come from what was learned alone; *oracle* is the best one in hindsight, and no result. Intervals draw
cases (sessions, runs) anew, or stretches of time of a stream of windows; ± is the spread over seeds, which is another
question. *Distinct*: each content counts once, unweighted. *Patterns*: how many sets of message types a person is
shown; *recall at 10*: the share of the anomalies that the first ten of them hold.
"""


def write_reports(folder: Path) -> list[Path]:
    """Write the report of a bench; return the files.

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
    tables = [*main_tables(results), *([one] if (one := failures(results)) else [])]
    commands = dict.fromkeys(one["command"] for one in results if one.get("command"))
    versions = ", ".join(f"{name} {value}" for name, value in results[-1]["versions"].items() if value)
    head = f"# Bench\n\n{HOW_TO_READ}\n" + "".join(f"    {command}\n" for command in commands)
    text = f"{head}\n{machine()}; {versions}\n\n" + "\n".join(one.markdown() for one in tables)
    path = folder / "report.md"
    path.write_text(text, encoding="utf-8")
    return [path]
