"""A round whose updates the server sees: it judges each, and weighs those it lets in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from oddlog.federated.aggregation import aggregate, lengthened
from oddlog.federated.gate import Gate, against, oversized
from oddlog.federated.history import Round
from oddlog.federated.layers import Layers
from oddlog.federated.plan import Plan
from oddlog.federated.quality import Quality, capped, softmax_weights
from oddlog.federated.quantise import DamagedError, restored
from oddlog.federated.wire import Note
from oddlog.types import F32, F64

FEWEST = 2
"""Sites that a federation, and a round of it, needs."""
ROUNDED = 1.5
"""By so much an update in few bits may be longer than allowed: rounding, and what it owed from longer rounds, adds."""
PARTS = ("utility", "share", "closeness", "divergence")


@dataclass(frozen=True)
class Expected:
    """What an update must be.

    Attributes
    ----------
    size : int
        Numbers in it (p).
    layers : Layers, optional
        With whose second moments it comes.
    norm : float
        No longer than this.
    sites : collection of str
        Who takes part.

    """

    size: int
    layers: Layers | None
    norm: float
    sites: Collection[str]


def combined(answers: Mapping[str, Note], plan: Plan, expected: Expected, this: Round) -> F64 | None:
    """Return the update [p] of those that are let in, None if they are too few; what happened goes into the round.

    Parameters
    ----------
    answers : mapping of Note
        By site.
    plan : Plan
        Rule and weights.
    expected : Expected
        What is let in.
    this : Round
        The round that is asked about.

    """
    layers = expected.layers
    gate = Gate(expected.size, expected.sites, expected.norm * (ROUNDED if plan.bits else 1.001))
    gate.begin(this.number)
    updates, quality = _let_in(gate, answers, plan)
    inputs = {} if layers is None else _with_inputs(gate, layers, answers, updates)
    for reason, site in gate.refused.examples.items():
        this.dropped.setdefault(site, reason)
    this.refused = dict(gate.refused.counts)
    if len(updates) < FEWEST:
        this.failed = f"{len(updates)} updates came, and at least {FEWEST} are needed"
        return None
    weight = weights([quality[site] for site in updates], plan)
    this.counted = dict(zip(updates, weight.tolist(), strict=True))
    this.quality = {site: quality[site].score(plan.fidelity) for site in updates}
    told = {site: answers[site].facts.get("loss") for site in updates}
    this.loss = {site: float(loss) for site, loss in told.items() if loss is not None}
    this.utility = {site: quality[site].utility for site in updates}
    every = np.stack(list(updates.values()))
    squares = float(weight @ (every.astype(np.float64) ** 2).sum(1) / weight.sum())
    this.length = float(np.sqrt(squares))
    if layers is not None:
        each = [(of, inputs[site], updates[site]) for site, of in this.counted.items()]
        product = sum((of * layers.product(moments, update) for of, moments, update in each), np.zeros(expected.size))
        moments = sum((of * moments.astype(np.float64) for of, moments, _ in each), np.zeros(layers.size))
        return layers.merged(moments, product, float(weight.sum()))
    update = aggregate(every, weight, "mean" if plan.rule == "layers" else plan.rule, plan.trim)
    if plan.lengthens:
        this.lengthened = lengthened(squares, update, len(updates))
    return update * this.lengthened


def weighed(
    answers: Mapping[str, Note], histograms: Mapping[str, F64], everyone: F64, within: Collection[str]
) -> dict[str, Note]:
    """Return the answers with share and closeness by what the server knows, whatever they say of these themselves.

    Parameters
    ----------
    answers : mapping of Note
        By site.
    histograms : mapping of F64 [64]
        Of message types, of each site.
    everyone : F64 [64]
        Their sum in round 0.
    within : collection of str
        The sites that are in that sum; who came later is added to it.

    """
    found = {}
    of_all = sum((one for site, one in sorted(histograms.items()) if site not in within), everyone)
    for site, note in answers.items():
        quality = Quality.of(float(note.facts.get("utility", 0.0)), histograms[site], of_all)
        found[site] = Note({**note.facts, **asdict(quality)}, note.arrays)
    return found


def _with_inputs(gate: Gate, layers: Layers, answers: Mapping[str, Note], updates: dict[str, F32]) -> dict[str, F32]:
    """Return the second moments of those that sent some; the updates of others are refused."""
    found = {}
    for site in list(updates):
        moments = layers.believed(answers[site].arrays.get("inputs", np.zeros(0)))
        if moments is None:
            gate.refuse(site, "second moments that are none")
            del updates[site]
        else:
            found[site] = moments
    return found


def weights(quality: list[Quality], plan: Plan) -> F64:
    """Return how much each site counts [c]; they sum to 1."""
    if plan.rule in {"median", "trimmed"} or plan.weigh == "equal":
        return np.full(len(quality), 1 / len(quality))
    if plan.weigh == "data":
        share = np.array([one.share for one in quality]) + 1e-12
        return capped(share / share.sum(), plan.most)
    score = [one.score(plan.fidelity) for one in quality]
    return capped(softmax_weights(score, plan.temperature), plan.most)


def _let_in(gate: Gate, answers: Mapping[str, Note], plan: Plan) -> tuple[dict[str, F32], dict[str, Quality]]:
    updates, quality = {}, {}
    for site, note in sorted(answers.items()):
        update = gate.let_in(site, int(note.facts.get("round", -1)), _unpacked(note, gate.size, plan))
        if update is not None:
            updates[site] = update
            quality[site] = Quality(*(float(note.facts.get(name, 0.0)) for name in PARTS))
    if updates:
        far = oversized(np.stack(list(updates.values())))
        for site in [site for site, too_far in zip(updates, far, strict=True) if too_far]:
            gate.refuse(site, "update far longer than the others'")
            del updates[site]
    if updates and plan.rule in {"layers", "mean"} and not plan.epsilon:  # others bear liars; noise points anywhere
        turned = against(np.stack(list(updates.values())))
        for site in [site for site, one in zip(updates, turned, strict=True) if one]:
            gate.refuse(site, "update against the others'")
            del updates[site]
    return updates, quality


def _unpacked(note: Note, size: int, plan: Plan) -> Any:
    """Return the update that a note holds; what is damaged is an array that no gate lets in."""
    update = note.arrays.get("update", np.zeros(0, np.float32))
    if not plan.bits:
        return update
    try:
        return restored(update.tobytes(), size, plan.bits)
    except DamagedError:
        return np.zeros(0, np.float32)
