"""What papers say of their methods beside what these do here, as published: who is not reproduced is told so.

Published figures stand in ``fidelity.toml``, each with where it was read. Ours are measured by `oddlog bench fidelity`:
the product learns and judges as in every cell; beside its own verdict stands the literal one of the method's paper,
where it has one (a detector's `verdict_above`, of its own scores).
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl

from oddlog.datasets import LogSet
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.cells import Cell, learn, needs_labels
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.metrics import counted, oracle, roc_auc
from oddlog.evaluation.protocols import split
from oddlog.evaluation.scoring import cases_of
from oddlog.evaluation.sharing import Shared
from oddlog.pipeline import detect
from oddlog.pipeline.judging.detection import Part

APART = 0.03
"""Difference in F1 from which on a method is not reproduced."""
Checked = Literal["read", "quoted", "no"]


@dataclass(frozen=True)
class Claim:
    """A figure as it was published, and the nearest that is measured here; see ``fidelity.toml``."""

    method: str
    paper: str
    detector: str
    set: str
    protocol: str
    said: str
    by: str
    checked: Checked
    source: str
    differs: str
    why: str
    f1: float | None = None

    @property
    def cell(self) -> tuple[str, str, str]:
        """What is run for it."""
        return self.set, self.protocol, self.detector


def claims() -> list[Claim]:
    """Return all of them, in the order of the file."""
    found = tomllib.loads((files("oddlog.evaluation") / "fidelity.toml").read_text(encoding="utf-8"))
    return [Claim(**one) for one in found["claim"]]


def measure(cell: Cell, of: LogSet, catalogue: Catalogue, root: Path) -> dict[str, Any]:
    """Return our figures for a cell; lines are written below `root`, an empty folder.

    ``held_out`` is F1 of the product's verdict, ``literal`` that of the paper's where the detector has one, ``oracle``
    that of the best threshold in hindsight.
    """
    parts, began = split(catalogue, cell.protocol, cell.seed), time.process_time()
    with Shared(of, catalogue, parts, root) as shared:
        model = learn(cell, shared)
        judging, literal = Judging(catalogue, shared.test()), [_literal_schema()]

        def each(part: Part) -> None:
            judging.add(part)
            literal.append(_literal(part))

        detect(model, root / "test", each=each)
    judged = judging.judged()
    said = pl.concat(literal).sort("view", "start", "key", maintain_order=True)["literal"]
    weigh = catalogue.proportion if parts.weigh else (0, 0)
    cases = cases_of(judged, weigh, by_session=catalogue.by_session)
    told = {
        "held_out": counted(cases.odd, cases.label, cases.weight).f1,
        "roc_auc": roc_auc(cases.score, cases.label, cases.weight),
        "oracle": oracle(cases.score, cases.label, cases.weight)[0],
        "literal": None,
        "cases": len(cases),
        "anomalous": int((cases.label == 1).sum()),
        "cpu_s": time.process_time() - began,
    }
    if not said.is_null().any() and len(said):
        cases = cases_of(judged.with_columns(odd=said), weigh, by_session=catalogue.by_session)
        told["literal"] = counted(cases.odd, cases.label, cases.weight).f1
    return told


def _literal_schema() -> pl.DataFrame:
    return pl.DataFrame(schema={"view": pl.String, "key": pl.String, "start": pl.Int64, "literal": pl.Boolean})


def _literal(part: Part) -> pl.DataFrame:
    """Return the verdict of the paper for each window of a part; null where the method has none."""
    windows, member = part.windows, part.view.members[0]
    above: float | None = getattr(member, "verdict_above", None)
    odd = pl.Series("literal", [None] * len(windows), dtype=pl.Boolean)
    if above is not None and len(windows):
        odd = pl.Series("literal", np.nan_to_num(member.score(windows).window, nan=-np.inf) > above)
    frame = pl.DataFrame({"key": windows.key, "start": windows.start, "literal": odd})
    return frame.select(pl.lit(part.view.name).alias("view"), "key", "start", "literal")


def page(every: Sequence[Claim], ours: dict[tuple[str, str, str], dict[str, Any]], head: str) -> str:
    """Return the page: a table of all claims, then what explains each that is not reproduced."""
    rows = [_row(claim, ours.get(claim.cell)) for claim in every]
    explained = [
        f"- **{claim.method}**, {claim.by}: {claim.why}"
        for claim in every
        if claim.why and verdict(claim, ours.get(claim.cell)) == "not reproduced"
    ]
    sources = [
        f"- {claim.method}, {claim.by}: {claim.said}. {_source(claim)} Here: {claim.differs}." for claim in every
    ]
    table = [
        "| method | figure of | their F1 | ours, as published | ours, held-out | oracle | ROC AUC | set, protocol | |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(
        [
            head,
            *table,
            "",
            "## Why not",
            "",
            *explained,
            "",
            "## What they did, and where it was read",
            "",
            *sources,
            "",
        ]
    )


def verdict(claim: Claim, ours: dict[str, Any] | None) -> str:
    """Return what is to be said of a claim: reproduced, not reproduced, or why neither can be said."""
    if ours is None:
        return "not measured"
    if claim.f1 is None:
        return "not verified"
    figure = ours["literal"] if ours["literal"] is not None else ours["held_out"]
    return "reproduced" if abs(figure - claim.f1) <= APART else "not reproduced"


def _row(claim: Claim, ours: dict[str, Any] | None) -> str:
    told = [_number((ours or {}).get(name)) for name in ("literal", "held_out", "oracle", "roc_auc")]
    said = verdict(claim, ours)
    published = _number(claim.f1) + (" (quoted)" if claim.checked == "quoted" else "")
    method = f"{claim.method} (labels)" if needs_labels(claim.detector) else claim.method
    cells = [method, claim.by, published, *told, f"{claim.set}, `{claim.protocol}`, `{claim.detector}`"]
    return f"| {' | '.join(cells)} | {f'**{said}**' if said == 'not reproduced' else said} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _source(claim: Claim) -> str:
    told = {"read": "Read in", "quoted": "Quoted in", "no": "Not verified:"}[claim.checked]
    return f"{told} {claim.source}." if claim.source else "Not verified."


@dataclass(frozen=True)
class Measured:
    """Our figures on disk, a file a cell, so that one that was ended goes on where it was."""

    folder: Path

    def path(self, cell: tuple[str, str, str]) -> Path:
        """Return where those of a cell lie."""
        return self.folder / f"{'-'.join(cell).replace(':', '_').replace('=', '_')}.json"

    def read(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Return what there is."""
        found = (orjson.loads(path.read_bytes()) for path in sorted(self.folder.glob("*.json")))
        return {(one["set"], one["protocol"], one["detector"]): one for one in found}

    def write(self, cell: Cell, told: dict[str, Any]) -> None:
        """Add the figures of a cell."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path((cell.set, cell.protocol, cell.detector))
        content = {"set": cell.set, "protocol": cell.protocol, "detector": cell.detector, "seed": cell.seed, **told}
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
