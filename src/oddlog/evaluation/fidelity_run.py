"""`oddlog bench fidelity`: every method of `fidelity.claims`, once, and the page."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from oddlog.datasets import find_set
from oddlog.errors import OddlogError
from oddlog.evaluation.bench import catalogued, load_catalogue
from oddlog.evaluation.cells import Cell
from oddlog.evaluation.fidelity import Measured, claims, measure, page
from oddlog.evaluation.results import Store, machine, versions

HEAD = """# Fidelity: methods as their papers have them

Each method beside what was published of it, under the nearest protocol that the sets at hand allow (2 % of the blocks
of HDFS, samples of BGL; *development* sets). More than .03 apart is **not reproduced**, and explained below. *As
published* is the verdict of the paper's own rule (a rank beyond g, mean + 3 standard deviations, an odds above 0);
*held-out* that of the product, whose threshold comes from usual sessions alone; *oracle* the best threshold in
hindsight, no result. One seed. Rows of one method and protocol are one measurement, set beside several published
figures. *Not verified*: no public source with the figure could be read, so none is shown. *(labels)*: it learned from
labels of both kinds; no other saw one. Docstrings name sections and equations of papers on logs only where their text
could be read.

Printed by `oddlog bench fidelity --data ../shared/data`. {versions}.
"""


def run_fidelity(folder: Path, data: Path, most_s: float, say: Callable[[str], None]) -> str:
    """Measure what is not measured yet, within so many CPU-seconds, and return the page."""
    store, measured = Store(folder), Measured(folder / "fidelity")
    every, there, began = claims(), measured.read(), time.process_time()
    for set_, protocol, detector in dict.fromkeys(claim.cell for claim in every):
        if (set_, protocol, detector) in there:
            continue
        if time.process_time() - began > most_s:
            say(f"{set_} {protocol} {detector}: left, the time is up")
            continue
        try:
            of = find_set(set_, data, store.folder / "sets").read_as()
            catalogue = load_catalogue(catalogued(of, store))
            cell = Cell(set_, protocol, detector)
            with tempfile.TemporaryDirectory(prefix="oddlog-fidelity-") as root:
                told = measure(cell, of, catalogue, Path(root))
        except OddlogError as error:
            say(f"{set_} {protocol} {detector}: {error}")
            continue
        measured.write(cell, told)
        say(f"{set_} {protocol} {detector}: {', '.join(_shown(name, value) for name, value in told.items())}")
    packages = ", ".join(f"{name} {number}" for name, number in versions().items() if number)
    return page(every, measured.read(), HEAD.format(versions=f"{machine()}; {packages}"))


def _shown(name: str, value: float | None) -> str:
    return f"{name} {'–' if value is None else f'{value:.3f}' if isinstance(value, float) else value}"
