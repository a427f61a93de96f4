"""Tables of what federations came to, put into the pages that tell of it.

    python benchmarks/federated_tables.py CELLS --into docs/federated.md benchmarks/results/federated.md

CELLS is the folder that `federated.py`, `federated_poison.py`, `federated_leaks.py` and `wgan_ablation.py` were given
with ``--cells``. What stands in a page between ``<!-- federated: NAME -->`` and ``<!-- end -->`` is replaced by the
table of that name; words around it are for a person to check. Draws from seed 10 on were not looked at while the rules
were chosen, and stand in tables of their own.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import wgan_ablation
from federated_cells import Cell, read

FRESH = 10
DEFAULT = "quality, corrected"
SHOWN = {
    "local": "each site alone",
    "central": "all in one place",
    "FedAvg": "FedAvg",
    "FedProx": "FedProx",
    "quality, paper": "GANFL's weights, as in the paper",
    "quality, corrected, plain": "GANFL's weights, corrected",
    "corrected, mean": "the same, lengthened, with rates that fall",
    DEFAULT: "**merged by layers, as it is by default**",
    "FedAvg's weights, layers": "merged by layers, weights of FedAvg",
    "median": "a median, lengthened, with rates that fall",
    "8 bits": "… in 8 bits",
    "secagg": "… by secure sums",
    "fine-tuning, always kept": "… + fine-tuning, kept by all",
    "fine-tuning or local": "… + fine-tuning or an own network, where clearly better",
    "DP, epsilon 8": "ε = 8 (a mean; own rates)",
    "DP, epsilon 1": "ε = 1",
    "as DP, no noise": "the same without noise",
}
PLACES = (
    ("hdfs", 5, "kind", "HDFS, five by kind"),
    ("hdfs", 10, "kind", "HDFS, ten by kind"),
    ("hdfs", 5, "time", "HDFS, five by time"),
    ("hdfs", 10, "time", "HDFS, ten by time"),
    ("nova", 5, "time", "Nova, five by time"),
    ("nova", 10, "time", "Nova, ten by time"),
    ("nova", 5, "service", "Nova, by service"),
    ("bgl", 5, "time", "BGL, five by time"),
    ("bgl", 10, "time", "BGL, ten by time"),
    ("three", 5, "kind", "HDFS, Nova and BGL, a site each"),
)
ATTACKS = ("gone", "noise", "flip", "labels", "liar")


def number(value: float, digits: int = 3) -> str:
    """Return a figure as pages have it: without the zero before the point.

    >>> number(0.975), number(-0.0312, 3), number(1.0)
    ('.975', '−.031', '1.000')
    """
    text = f"{abs(value):.{digits}f}"
    short = text.removeprefix("0") if text.startswith("0.") else text
    return f"−{short}" if value < 0 and float(text) else short


def spread(values: Sequence[float]) -> str:
    """Return a mean, with its deviation where there are several."""
    mean = number(float(np.mean(values)))
    return f"{mean} ± {number(float(np.std(values)))}" if len(values) > 1 else mean


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of a page."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)


class Tables:
    """Makes tables of cells."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._all = cells
        self._ways = [one for one in cells if one["kind"] == "way" and (one["rounds"], one["steps"]) == (10, 100)]

    def of(self, place: Sequence[object], way: str, *, fresh: bool) -> dict[int, Cell]:
        """Return the cells of a place and way by seed."""
        there = (one for one in self._ways if (one["set"], one["sites"], one["split"], one["way"]) == (*place[:3], way))
        return {one["seed"]: one for one in there if (one["seed"] >= FRESH) == fresh}

    def ways(self) -> str:
        """Return a row for each way, of HDFS with five sites by kind."""
        rows, alone = [], self.of(PLACES[0], "local", fresh=False)
        for way, said in SHOWN.items():
            found = self.of(PLACES[0], way, fresh=False)
            if not found:
                continue
            f1 = [float(np.mean(one["f1"])) for one in found.values()]
            gain = self._gains(found, alone) if way != "local" else []
            rows.append(
                [
                    said,
                    str(len(found)),
                    spread(f1),
                    number(float(np.mean([min(one["f1"]) for one in found.values()]))),
                    number(min(gain)) if gain else "",
                    number(float(np.mean([np.mean(one["auc"]) for one in found.values()])), 4),
                    f"{np.mean([one['up_kb'] for one in found.values()]):,.0f}",
                    f"{np.mean([one['cpu_s'] for one in found.values()]):.0f}",
                ]
            )
        head = ["", "draws", "F1", "worst site", "least gain of a site", "AUC", "KB up, site and round", "CPU-s"]
        return table(head, rows)

    @staticmethod
    def _gains(found: dict[int, Cell], alone: dict[int, Cell]) -> list[float]:
        """Return what each site has gained over itself alone, in all draws that have both."""
        pairs = [(found[seed]["f1"], alone[seed]["f1"]) for seed in found if seed in alone]
        return [one - other for ours, own in pairs for one, other in zip(ours, own, strict=True)]

    def places(self, *, fresh: bool = False) -> str:
        """Return a row for each place: F1 of the default, its gap to all in one place, what sites have gained."""
        rows = []
        for place in PLACES:
            found, central, alone, mean = (
                self.of(place, way, fresh=fresh) for way in (DEFAULT, "central", "local", "FedAvg")
            )
            if not found:
                continue
            f1 = {seed: float(np.mean(one["f1"])) for seed, one in found.items()}
            gap = [float(np.mean(central[seed]["f1"])) - f1[seed] for seed in f1 if seed in central]
            gains = self._gains(found, alone)
            below = sum(one < -0.0005 for one in gains)  # what pages can show
            rows.append(
                [
                    str(place[3]),
                    str(len(found)),
                    spread([float(np.mean(one["f1"])) for one in alone.values()]) if alone else "–",
                    spread([float(np.mean(one["f1"])) for one in mean.values()]) if mean else "–",
                    spread([float(np.mean(one["f1"])) for one in central.values()]) if central else "–",
                    f"**{spread(list(f1.values()))}**",
                    " ".join(number(f1[seed]) for seed in sorted(f1)),
                    number(float(np.mean(gap))) if gap else "–",
                    f"{number(min(gains))}; {below} of {len(gains)}" if gains else "–",
                    number(float(np.mean([np.mean(one["auc"]) for one in found.values()])), 4),
                ]
            )
        head = ["", "draws", "alone", "FedAvg", "in one place", "default", "draw by draw", "gap"]
        return table([*head, "least gain; sites below themselves alone", "AUC"], rows)

    def poison(self) -> str:
        """Return AUC lost, and F1, for each rule and attack."""
        cells = [one for one in self._all if one["kind"] == "poison"]
        rows = []
        for rule in dict.fromkeys(one["rule"] for one in cells):
            row = {
                attack: {one["seed"]: one for one in cells if (one["rule"], one["attack"]) == (rule, attack)}
                for attack in ("nobody", *ATTACKS)
            }
            nobody, shown = row["nobody"], []
            for attack in ATTACKS:
                both = [(nobody[seed], one) for seed, one in row[attack].items() if seed in nobody]
                if not both:
                    shown.append("–")
                    continue
                lost = float(np.mean([before["auc"] - after["auc"] for before, after in both]))
                f1 = float(np.mean([after["f1"] for _, after in both]))
                shown.append(f"{number(lost, 4)}; {number(f1)}")
            f1 = float(np.mean([one["f1"] for one in nobody.values()]))
            rows.append([rule, str(len(nobody)), number(f1), *shown])
        return table(
            [
                "AUC lost; F1",
                "draws",
                "nobody",
                "it is gone",
                "noise",
                "turned round × 10",
                "anomalies as usual",
                "noise, claims the best",
            ],
            rows,
        )

    def leaks(self) -> str:
        """Return how well membership is told."""
        cells = [one for one in self._all if one["kind"] == "leaks" and one["way"] != "words"]
        rows = []
        for way in dict.fromkeys(one["way"] for one in cells):
            each = [one for one in cells if one["way"] == way]
            figures = [
                f"{number(float(np.mean([one[of][0] for one in each])))}; {np.mean([one[of][1] for one in each]):.1%}"
                for of in ("all", "distinct")
            ]
            rows.append([way, str(len(each)), *figures])
        return table(["AUC; found at 1 % false claims", "draws", "all sessions", "distinct sequences"], rows)

    def wgan(self) -> str:
        """Return what further rare windows are worth."""
        cells = [one for one in self._all if one["kind"] == "wgan"]
        keys = sorted({(one["set"], one["rare"]) for one in cells})
        rows = []
        for name, n in keys:
            each = [one for one in cells if (one["set"], one["rare"]) == (name, n)]
            chosen = ", ".join(sorted({one["chosen"] for one in each if "chosen" in one})) or "not asked"
            said = {"hdfs": "HDFS", "nova": "Nova"}[name]
            rows.append([said, str(n), str(len(each)), *wgan_ablation.row(each), chosen])
        return table(
            ["F1 at .5, AUC", "labelled", "draws", "none", "SMOTE", "noise", "WGAN-GP", "ablation chose"], rows
        )

    def named(self, name: str) -> str:
        """Return the table of a name."""
        made = {
            "ways": self.ways,
            "places": self.places,
            "fresh": lambda: self.places(fresh=True),
            "poison": self.poison,
            "leaks": self.leaks,
            "wgan": self.wgan,
        }
        return made[name]()


def filled(page: str, tables: Tables) -> str:
    """Return a page with the tables in it."""
    part = re.compile(r"(<!-- federated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return part.sub(lambda found: f"{found[1]}\n{tables.named(found[2])}\n\n{found[3]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--into", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    tables = Tables(read(asked.cells))
    for path in asked.into:
        path.write_text(filled(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
    if not asked.into:
        for name in ("ways", "places", "fresh", "poison", "leaks", "wgan"):
            print(f"{name}\n\n{tables.named(name)}\n")


if __name__ == "__main__":
    main()
