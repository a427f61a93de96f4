"""The results of a bench as tables of text: what both reports show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

Result = dict[str, Any]

LABELS = {
    "none": "nobody",
    "cleaning": "who made the split, to leave anomalous cases out",
    "learning": "nobody",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; `right` says which columns hold numbers."""

    title: str
    says: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"| {' | '.join(self.head)} |", "|" + "---|" * len(self.head)]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        says = f"{self.says}\n\n" if self.says else ""
        return f"## {self.title}\n\n{says}" + "\n".join(lines) + "\n"


COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("F1", "f1", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("ROC AUC", "roc_auc", 4),
    ("PR AUC", "pr_auc", 3),
    ("oracle F1 (hindsight)", "oracle_f1", 3),
    ("distinct: F1", "distinct_f1", 3),
    ("AUC", "distinct_roc_auc", 4),
    ("false alarms a day", "false_alarms_a_day", 1),
    ("patterns", "patterns", 0),
    ("recall at 10", "recall_at_10_patterns", 2),
)


def grouped(results: Sequence[Result], *names: str) -> dict[tuple[str, ...], list[Result]]:
    """Return results by what was asked, in the order given."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for one in results:
        groups.setdefault(tuple(str(one["cell"][name]) for name in names), []).append(one)
    return groups


def main_tables(results: Sequence[Result]) -> list[Table]:
    """Return a table for each set and protocol: a row a detector, over its seeds."""
    made = []
    finished = [one for one in results if one["ok"]]
    for (name, protocol, recurring), of in grouped(finished, "set", "protocol", "recurring").items():
        rows = [_row(detector, each) for (detector,), each in grouped(of, "detector").items()]
        rows.sort(key=lambda row: row[0], reverse=True)
        first = of[0]["figures"]
        says = (
            f"{of[0]['split']['says'].capitalize()}. {first['cases']:,} cases judged, {first['anomalous']:,} anomalous "
            f"({first['distinct_cases']:,} and {first['distinct_anomalous']:,} distinct), each usual one standing for "
            f"{first['usual_weight']:.2f}."
        )
        also = " --recurring odd" if recurring == "odd" else ""
        head = ("detector", "seeds", "F1, 95 %", *(label for label, _, _ in COLUMNS), "CPU-s", "MB")
        made.append(Table(f"{name}, {protocol}{also}", says, head, tuple(cells for _, cells in rows)))
    return made


def _row(detector: str, each: Sequence[Result]) -> tuple[float, tuple[str, ...]]:
    lows, highs = ([_of(one, name) for one in each] for name in ("f1_low", "f1_high"))
    interval = f"{_number(min(lows), 3)}–{_number(max(highs), 3)}"
    cells = [over(each, name, digits) for _, name, digits in COLUMNS]
    costs = [f"{fmean(one['cost'][name] for one in each):,.0f}" for name in ("cpu_s", "peak_mb")]
    f1 = fmean(_of(one, "f1") for one in each)
    return (f1 if f1 == f1 else -1.0, (f"`{detector}`", str(len(each)), interval, *cells, *costs))  # noqa: PLR0124


def over(each: Sequence[Result], name: str, digits: int) -> str:
    """Return mean ± standard deviation over seeds."""
    values = [_of(one, name) for one in each]
    spread = f" ± {pstdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{_number(fmean(values), digits)}{spread}"


def _of(one: Result, name: str) -> float:
    value = one["figures"].get(name)
    return float("nan") if value is None else float(value)


def _number(value: float, digits: int) -> str:
    return "–" if value != value else f"{value:,.{digits}f}"  # noqa: PLR0124 - NaN is the one that differs from itself


def failures(results: Sequence[Result]) -> Table | None:
    """Return the cells that failed, and why."""
    failed = [one for one in results if not one["ok"]]
    if not failed:
        return None
    rows = tuple(
        (*(str(one["cell"][n]) for n in ("set", "protocol", "detector", "seed")), one["error"]) for one in failed
    )
    return Table(
        "Failed", "They are tried again by the next run.", ("set", "protocol", "detector", "seed", "why"), rows
    )


Maker = Callable[[Sequence[Result]], list[Table]]
