"""The results of a bench as tables of text: what both reports show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from oddlog.evaluation.protocols import parse
from oddlog.evaluation.resampling import Paired, cells_of, holm, pooled_test

if TYPE_CHECKING:
    from oddlog.evaluation.scoring import Cases

Result = dict[str, Any]
CasesOf = Callable[[Result], "Cases"]
Column = tuple[str, str, int]  # head, name of the figure, digits

MAIN: tuple[Column, ...] = (
    ("F1", "f1", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("accuracy", "accuracy", 4),
    ("ROC AUC", "roc_auc", 4),
    ("PR AUC", "pr_auc", 3),
    ("oracle F1 (hindsight)", "oracle_f1", 3),
    ("distinct F1", "distinct_f1", 3),
    ("distinct AUC", "distinct_roc_auc", 4),
    ("control F1", "control_f1", 3),
    ("control AUC", "control_roc_auc", 4),
    ("false alarms a day", "false_alarms_a_day", 1),
    ("patterns", "patterns", 0),
    ("recall at 10", "recall_at_10_patterns", 2),
)
OF_LINES: tuple[Column, ...] = (
    ("F1", "line_f1", 3),
    ("precision", "line_precision", 3),
    ("recall", "line_recall", 3),
    ("ROC AUC", "line_roc_auc", 4),
    ("odd per 1,000 usual lines", "false_lines_per_1000", 2),
    ("windows by their most pressing line: F1", "pressing_f1", 3),
    ("ROC AUC", "pressing_roc_auc", 4),
    ("oracle F1 (hindsight)", "pressing_oracle_f1", 3),
)
OF_INCIDENTS: tuple[Column, ...] = (
    ("incidents", "incidents", 0),
    ("seen", "incidents_seen", 2),
    ("within 1 s", "incidents_within_1_s", 2),
    ("odd per 1,000 usual lines", "usual_lines_odd_per_1000", 2),
    ("seconds, median", "time_to_detection_s", 1),
    ("seconds, 90 %", "time_to_detection_s_90", 1),
    ("lines, median", "lines_to_detection", 0),
    ("service first", "service_top_1", 2),
    ("service in 3", "service_top_3", 2),
    ("host first", "host_top_1", 2),
    ("host in 3", "host_top_3", 2),
)
UNLABELLED: tuple[Column, ...] = (("windows", "windows", 0), ("called odd", "windows_odd", 0))
SEEN_BY = {
    "none": "Nobody saw a label.",
    "cleaning": "Labels left anomalous cases out of what was learned from.",
    "learning": "Labels of the training part were seen by detectors that learn from them, and by no others.",
}
ANSWERS_AT = (0, 5, 10, 50)


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    title: str
    says: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"| {' | '.join(self.head)} |", "|" + "---|" * len(self.head)]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in self.rows]
        says = f"{self.says}\n\n" if self.says else ""
        return f"## {self.title}\n\n{says}" + "\n".join(lines) + "\n"


def grouped(results: Sequence[Result], *names: str) -> dict[tuple[str, ...], list[Result]]:
    """Return results by what was asked, in the order given."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for one in results:
        groups.setdefault(tuple(str(one["cell"][name]) for name in names), []).append(one)
    return groups


def main_table(asked: Sequence[str], of: Sequence[Result], p_values: Mapping[str, float]) -> Table:
    """Return a row for each detector, over its seeds, the best F1 first."""
    first = of[0]["figures"]
    title = f"{title_of(asked)}{_whether_new(of[0])}"
    if "f1" not in first:
        says = f"{_says(of[0])} The set has no labels: nothing is known of right and wrong."
        return _by_detector(title, says, of, UNLABELLED)
    weight = first["usual_weight"]
    weighed = f"; each usual one stands for {weight:.2f}" if of[0]["split"]["weigh"] else ""
    unheard = f", {first['no_opinion']:,} without an opinion (not over)" if first["no_opinion"] else ""
    control = f" Control: {first['control']:,} faults that changed nothing." if "control" in first else ""
    says = (
        f"{_says(of[0])} {first['cases']:,} cases judged{unheard}, {first['anomalous']:,} anomalous; "
        f"{first['distinct_cases']:,} and {first['distinct_anomalous']:,} distinct{weighed}.{control}"
    )
    return _by_detector(title, says, of, MAIN, p_values)


def line_table(asked: Sequence[str], of: Sequence[Result]) -> Table | None:
    """Return how lines were judged, where they have labels."""
    some = [one for one in of if "line_f1" in one["figures"]]
    if not some:
        return None
    figures = some[0]["figures"]
    says = f"{figures['lines']:,} lines judged one by one, {figures['anomalous_lines']:,} anomalous."
    return _by_detector(f"{title_of(asked)}: lines", says, some, OF_LINES)


def incident_table(asked: Sequence[str], of: Sequence[Result]) -> Table | None:
    """Return how soon incidents were seen, and what was named, where incidents are labelled."""
    some = [one for one in of if one["figures"].get("incidents")]
    says = "Seen at the first odd line that is labelled, seconds after the incident's start; named by the odd lines."
    return _by_detector(f"{title_of(asked)}: incidents", says, some, OF_INCIDENTS) if some else None


def prequential_table(asked: Sequence[str], of: Sequence[Result]) -> Table | None:
    """Return what answers were worth, where some were given."""
    some = [one for one in of if one.get("answers")]
    if not some:
        return None
    rows, silent = [], []
    for one in sorted(some, key=lambda one: (-_or_least(_of(one, "f1")), one["cell"]["detector"])):
        if len(one["answers"]) == 1:
            silent.append(f"`{one['cell']['detector']}`")
            continue
        given: list[dict[str, Any]] = one["answers"]
        last = given[-1]
        at = [_number(given[min(n, len(given) - 1)]["f1"], 3) for n in ANSWERS_AT]
        rows.append(
            (
                f"`{one['cell']['detector']}`",
                str(one["cell"]["seed"]),
                *at,
                str(len(given) - 1),
                str(last["wrongly_muted"]),
                str(last["false_alarms"]),
            )
        )
    after = (f"F1 after {n}" for n in ANSWERS_AT)
    head = ("detector", "seed", *after, "answers used", "wrongly muted", "false alarms left")
    says = "Answered is the first false alarm that no answer covers, when its window ends; later windows heed it."
    if silent:
        says += f" Without a false alarm, and so without an answer: {', '.join(dict.fromkeys(silent))}."
    return Table(f"{title_of(asked)}: answers", says, head, tuple(rows))


def compared(of: Sequence[Result], cases_of: CasesOf) -> dict[str, float]:
    """Return the corrected p-value of each detector's difference in F1 to the best, over the seeds that both have."""
    by_name = grouped([one for one in of if one["figures"].get("f1") is not None], "detector")
    order = sorted(by_name, key=lambda name: (-_or_least(_mean(by_name[name], "f1")), name))
    if len(order) < 2:  # noqa: PLR2004 - one and another
        return {}
    best = {one["cell"]["seed"]: cases_of(one) for one in by_name[order[0]]}
    found: dict[str, float] = {}
    for name in order[1:]:
        others = {one["cell"]["seed"]: cases_of(one) for one in by_name[name] if one["cell"]["seed"] in best}
        pairs = [_paired(best[seed], other) for seed, other in others.items() if best[seed].key.equals(other.key)]
        if pairs:
            found[name[0]] = pooled_test(pairs)
    return dict(zip(found, holm(list(found.values())), strict=True))


def _paired(best: Cases, other: Cases) -> Paired:
    cells = (cells_of(odd, best.label, best.weight, best.block) for odd in (best.odd, other.odd))
    return Paired(best.units, *cells)


def learning_curves(results: Sequence[Result]) -> list[tuple[Table, list[float], dict[str, list[float]]]]:
    """Return F1 against the share of time learned from, for sets judged with several shares."""
    made = []
    timed = [one for one in results if _share_of(one) is not None and "f1" in one["figures"]]
    for (name, recurring), of in grouped(timed, "set", "recurring").items():
        for protocol in ("time", "time-usual"):
            some = [one for one in of if parse(one["cell"]["protocol"])[0] == protocol]
            shares = sorted({share for one in some if (share := _share_of(one)) is not None})
            if len(shares) < 2:  # noqa: PLR2004 - a line has two ends
                continue
            by_name = {
                detector: [_mean([one for one in each if _share_of(one) == share], "f1") for share in shares]
                for (detector,), each in grouped(some, "detector").items()
            }
            by_name = dict(sorted(by_name.items(), key=_best_first))
            by_name = {name: values for name, values in by_name.items() if sum(map(math.isfinite, values)) > 1}
            rows = tuple((f"`{one}`", *(_number(v, 3) for v in values)) for one, values in by_name.items())
            title = f"{title_of((name, protocol, recurring))}: F1 by what was learned from"
            table = Table(title, "", ("detector", *(f"{share:.0%}" for share in shares)), rows)
            made.append((table, shares, by_name))
    return made


def _best_first(one: tuple[str, list[float]]) -> tuple[int, float, str]:
    """Return what puts detectors in order: who was measured most often, then by the mean."""
    known = [value for value in one[1] if math.isfinite(value)]
    return -len(known), -fmean(known) if known else 0.0, one[0]


def failures(results: Sequence[Result]) -> Table | None:
    """Return the cells that failed, and why."""
    failed = [one for one in results if not one["ok"]]
    if not failed:
        return None
    names = ("set", "protocol", "detector", "seed")
    rows = tuple((*(str(one["cell"][name]) for name in names), str(one["error"])) for one in failed)
    return Table("Failed", "They are tried again by the next run.", (*names, "why"), rows)


def _share_of(one: Result) -> float | None:
    name, options = parse(one["cell"]["protocol"])
    return float(options.get("share", 0.5)) if name in ("time", "time-usual") else None


def title_of(asked: Sequence[str]) -> str:
    """Return what a table is of: set, protocol, and how what recurs was taken if not as usual."""
    return f"{asked[0]}, {asked[1]}{' --recurring odd' if asked[2] == 'odd' else ''}"


def _whether_new(one: Result) -> str:
    return ", development" if one.get("about", {}).get("development") else ""


def _says(one: Result) -> str:
    says = one["split"]["says"]
    return f"{says[0].upper()}{says[1:]}. {SEEN_BY[one['split']['labels']]}"


def _by_detector(
    title: str, says: str, of: Sequence[Result], columns: Sequence[Column], p_values: Mapping[str, float] | None = None
) -> Table:
    shown = [column for column in columns if any(column[1] in one["figures"] for one in of)]
    by_name = grouped(of, "detector")
    order = sorted(by_name, key=lambda name: (-_or_least(_mean(by_name[name], shown[0][1])), name))
    rows = []
    for (detector,) in order:
        each = by_name[(detector,)]
        cells = [over(each, name, digits) for _, name, digits in shown]
        if columns is MAIN:
            cells.insert(0, _interval(each))
            p_value = (p_values or {}).get(detector)
            cells.append("" if p_value is None else f"{p_value:.3f}")
        costs = [f"{fmean(one['cost'][name] for one in each):,.0f}" for name in ("cpu_s", "peak_mb")]
        labels = ", from labels" if each[0].get("learned_from_labels") else ""
        rows.append((f"`{detector}`{labels}", str(len(each)), *cells, *costs))
    heads = [head for head, _, _ in shown]
    if columns is MAIN:
        heads = ["F1, 95 %", *heads, "p"]
    return Table(title, says, ("detector", "seeds", *heads, "CPU-s", "MB"), tuple(rows))


def _interval(each: Sequence[Result]) -> str:
    lows, highs = ([_of(one, name) for one in each] for name in ("f1_low", "f1_high"))
    return f"{_number(min(lows), 3)}–{_number(max(highs), 3)}"


def over(each: Sequence[Result], name: str, digits: int) -> str:
    """Return mean ± standard deviation over seeds."""
    values = [_of(one, name) for one in each]
    told = len(values) > 1 and digits and not any(map(math.isnan, values))
    spread = f" ± {pstdev(values):.{digits}f}" if told else ""
    return f"{_number(fmean(values), digits)}{spread}"


def _mean(each: Sequence[Result], name: str) -> float:
    return fmean(_of(one, name) for one in each) if each else math.nan


def _of(one: Result, name: str) -> float:
    value = one["figures"].get(name)
    return math.nan if value is None else float(value)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def _or_least(value: float) -> float:
    return -1.0 if math.isnan(value) else value
