"""What the server does: rounds, from the sites that come to the network they keep.

::

    join → begin (round 0: the shared context) → learn × rounds → finish

The server never sees a line. In mode ``visible`` it sees each site's update and judges it (`gate`, robust rules); in
mode ``secagg`` it sees sums only, and so cannot judge. After each round it leaves a checkpoint; a server that was
killed goes on from there to the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from oddlog.errors import OddlogError
from oddlog.federated.aggregation import lengthened
from oddlog.federated.checkpoint import Checkpoint
from oddlog.federated.entry import Entry
from oddlog.federated.expected import MOST_JOINING, SLACK, malformed, most_bytes
from oddlog.federated.history import GONE, Asked, Round, enough
from oddlog.federated.layers import BOUND as LAYERS_BOUND
from oddlog.federated.layers import Layers
from oddlog.federated.layout import Layout
from oddlog.federated.local import BUCKETS
from oddlog.federated.plan import Plan
from oddlog.federated.pooling import GRID, MOST_COUNTED, without_noise
from oddlog.federated.secagg import Ring
from oddlog.federated.secagg.server import TooFewSitesError
from oddlog.federated.site import BOX, EXTRAS, Kind
from oddlog.federated.summing import BOUND, secure_sum
from oddlog.federated.visible import FEWEST, Expected, combined, weighed
from oddlog.federated.wire import PROTOCOL, Note
from oddlog.types import F32, F64

MOST_SUMMED = 1e12
"""Largest sum of a site before learning (windows, squares of features) that a secure sum holds, or that is believed."""
FINISHING = 10.0
"""In the end sites fit all members of their models: so many times the deadline of a round."""
LEAVING_S = 10.0
"""So long is waited for a site to hear that it is left out."""
MOST_TIMES_ALLOWED = 10.0
"""By so many times one site's longest update the network may move: least squares can lengthen what a liar says of his
inputs, where only sums are seen."""
MOST_FAILED = 3  # rounds in a row without an update, after which a federation ends


class Link(Protocol):
    """How the server reaches the sites."""

    def sites(self, *, wait: bool = True) -> tuple[str, ...]:
        """Return the addresses of those that are there; with `wait`, once there are enough or it was too long."""
        ...

    def ask(self, kind: Kind, notes: Mapping[str, Note], deadline_s: float, most_bytes: int) -> Asked:
        """Return the answers that came in time, by address, and why others did not; none is larger than allowed."""
        ...


class FederationError(OddlogError):
    """A federation that cannot begin or go on."""


@dataclass
class Federation:
    """A server with its sites.

    Attributes
    ----------
    address : mapping of str to str
        Of each site that takes part, by name.
    weights : F32 [p]
        Of the common network.
    layers : Layers, optional
        Of the network, where it is merged by them.
    everyone : F64 [s]
        Sums over all sites before learning: the histogram of message types [64], and moments.
    histograms : dict of F64 [64]
        Of each site, in mode visible: by them the server knows a site's share, whatever it says.
    history : list of Round
        What happened, round 0 first.
    names : mapping of str to str
        The site that an address belongs to, where that is known before anybody is asked.
    after : callable
        Told when a round is over.
    ended : str
        Why there were fewer rounds than planned, if so.
    id : str
        Of this federation, by which sites tell a server that goes on from one that begins anew.

    """

    link: Link
    plan: Plan
    folder: Path | None = None
    say: Callable[[str, int], None] = lambda _what, _n: None
    address: dict[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=lambda: Layout((), ()))
    weights: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    layers: Layers | None = None
    initial: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    everyone: F64 = field(default_factory=lambda: np.zeros(BUCKETS))
    histograms: dict[str, F64] = field(default_factory=dict)
    history: list[Round] = field(default_factory=list)
    id: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[Federation], None] = lambda _self: None
    ended: str = ""

    def run(self) -> list[Round]:
        """Take all rounds that are left, and return what happened.

        Raises
        ------
        FederationError
            If fewer than two sites come, or nothing is learned in three rounds one after the other.

        """
        self.plan = self.plan.checked()
        kept = None if self.folder is None else Checkpoint.read(self.folder, self.plan)
        self._join(kept)
        if kept is None:
            self._begin()
        else:
            self.weights, self.everyone, self.history = kept.weights, kept.everyone, kept.history
            self.histograms = dict(kept.histograms)
        while len(self.history) <= self.plan.rounds and not self._enough():
            number = len(self.history)
            self.say(f"round {number} of {self.plan.rounds}", number)
            self.history.append(self._round(number))
            self._keep()
            if len(self.history) > MOST_FAILED and not any(one.counted for one in self.history[-MOST_FAILED:]):
                raise FederationError(
                    f"Nothing was learned in {MOST_FAILED} rounds one after the other: {self.history[-1].says()}."
                )
        self._finish()
        return self.history

    def _enough(self) -> bool:
        self.ended = enough(self.history, self.plan.target, self.plan.patience)
        return bool(self.ended)

    def _join(self, kept: Checkpoint | None) -> None:
        """Ask who is there; the network of most of them is that of the federation."""
        self.id = os.urandom(8).hex() if kept is None else kept.id
        self._entry = Entry(self.names, self.address, "" if kept is None else kept.digest)
        self._joined = Round(0)
        self._admit(self.link.sites(), self._joined)
        self.weights = self.initial.copy()
        if len(self.address) < FEWEST:
            why = "; ".join(f"{site}: {reason}" for site, reason in self._joined.dropped.items()) or "nobody came"
            raise FederationError(f"{len(self.address)} sites can learn together, at least {FEWEST} must ({why}).")

    def _admit(self, addresses: tuple[str, ...], this: Round) -> None:
        """Let in who says that he is a site with this network; who is not let in goes into the round."""
        note = Note({"protocol": PROTOCOL, "federation": self.id})
        asked = self.link.ask("join", dict.fromkeys(addresses, note), self.plan.deadline_s, MOST_JOINING)
        this.add(asked, self.names or {one: str(note.facts["site"]) for one, note in asked.came.items()})
        come, dropped = self._entry.let_in(asked)
        self._send_away(self._entry.left_out)
        late = bool(self.history)
        this.dropped |= {site: why for site, why in dropped.items() if not (late and why == GONE)}  # it never was in it
        if not come:
            return
        if late:
            this.joined = sorted(come)
            return
        said = next(iter(come.values()))
        shapes = tuple(tuple(shape) for shape in said.facts["shapes"])
        self.layout, self.initial = Layout(tuple(said.facts["names"]), shapes), said.arrays["weights"]
        layered = self.plan.rule == "layers" and not self.plan.epsilon
        self.layers = Layers.of(self.layout, said.facts["layers"]) if layered else None
        self.everyone = np.zeros(int(said.facts["sums"]))

    def _send_away(self, left_out: dict[str, str]) -> None:
        """Tell sites why they cannot take part: they end, and may come again otherwise."""
        if left_out:
            self.link.ask("leave", {one: Note({"why": why}) for one, why in left_out.items()}, LEAVING_S, SLACK)
        left_out.clear()

    def _late(self, this: Round) -> None:
        """Let in who has come since."""
        if unknown := self._entry.unknown(self.link.sites(wait=False)):
            self._admit(unknown, this)

    def _begin(self) -> None:
        """Round 0: windows, message types and moments of everyone."""
        first, size = self._joined, len(self.everyone)
        if self.plan.mode == "secagg":
            ring = Ring(len(self.address), MOST_SUMMED, 64)
            total, came = self._secure_sum("begin", Note({**self.plan.facts(), "round": 0}), ring, size, first)
            self.everyone = np.append(np.maximum(total[:BUCKETS], 0.0), total[BUCKETS:])
        else:
            found = self._counted(first)
            came = tuple(found)
            for sums in found.values():
                self.everyone = self.everyone + sums
        first.counted = dict.fromkeys(came, 1.0)
        self.history = [first]
        self._keep()

    def _counted(self, this: Round) -> dict[str, F64]:
        """Return what each site says before learning [s], of those that have not said it; mode visible."""
        unknown = [site for site in self.address if site not in self.histograms]
        said = Note({**self.plan.facts(), "round": 0})
        found: dict[str, F64] = {}
        for site, note in sorted((self._ask("begin", dict.fromkeys(unknown, said), this) if unknown else {}).items()):
            sums = note.arrays["sums"]
            if sums.shape == self.everyone.shape and (sums[:BUCKETS] >= 0).all() and (abs(sums) <= MOST_SUMMED).all():
                found[site], self.histograms[site] = sums, sums[:BUCKETS]
            else:
                this.dropped[site] = "sums that are none"
        return found

    def _round(self, number: int) -> Round:
        this = Round(number)
        self._late(this)
        norm = self.plan.allowed(self.layout.size, self.history)
        facts = {**self.plan.facts(), "round": number, "norm": norm, "layers": self.layers is not None, **self._within}
        arrays = {"weights": self.weights, "everyone": self.everyone}
        try:
            update = self._summed(facts, arrays, this) if facts["secure"] else self._seen(facts, arrays, this)
        except TooFewSitesError as error:
            this.failed = error.message
            return this
        if update is not None:
            self._take(update, MOST_TIMES_ALLOWED * norm, this)
        return this

    @property
    def _within(self) -> dict[str, list[str]]:
        """Whose sums are in those of round 0, so that who came late does not take its own from them."""
        return {"within": sorted(self.history[0].counted)}

    def _take(self, update: F64, longest: float, this: Round) -> None:
        """Take over an update [p], no longer than `longest`, unless the network would be none any more."""
        with np.errstate(over="ignore"):  # what does not fit into float32 is infinite, and so refused
            length = float(np.linalg.norm(update))
            short = update if length <= longest or not np.isfinite(length) else update * (longest / length)
            weights = (self.weights + short).astype(np.float32)
        if np.isfinite(weights).all():
            self.weights = weights
        else:
            this.counted, this.failed = {}, "what the updates came to is no network"

    def _seen(self, facts: dict[str, Any], arrays: dict[str, Any], this: Round) -> F64 | None:
        """Return the update [p] of those that are let in."""
        self._counted(this)
        known = [site for site in self.address if site in self.histograms]
        answers = self._ask("learn", {site: Note(facts, arrays) for site in known}, this)
        answers = weighed(answers, self.histograms, self.everyone[:BUCKETS], self.history[0].counted)
        expected = Expected(self.layout.size, self.layers, float(facts["norm"]), self.address.keys())
        return combined(answers, self.plan, expected, this)

    def _summed(self, facts: dict[str, Any], arrays: dict[str, Any], this: Round) -> F64:
        """Return the update [p] of secure sums: Σ e_k·Δ_k / Σ e_k, or layer by layer."""
        layers = self.layers
        ring = Ring(len(self.address), BOUND if layers is None else LAYERS_BOUND)
        total, came = self._secure_sum("learn", Note(facts, arrays), ring, EXTRAS + self._learned, this)
        this.counted = dict.fromkeys(came, float("nan"))  # nobody but the site knows
        weight = max(float(total[0]), 1e-6)
        this.utility = {"all": float(total[1] / weight)}
        squares = max(float(total[2] / weight), 0.0) * float(facts["norm"]) ** 2
        this.length = float(np.sqrt(squares))
        if layers is not None:
            return layers.merged(total[EXTRAS : EXTRAS + layers.size], total[EXTRAS + layers.size :], weight)
        update = total[EXTRAS:] / weight
        if self.plan.lengthens:
            this.lengthened = lengthened(squares, update, len(came))
        return update * this.lengthened

    @property
    def _learned(self) -> int:
        """Numbers that a site sends of what it has learned."""
        return self.layout.size + (0 if self.layers is None else self.layers.size)

    def _secure_sum(self, kind: Kind, said: Note, ring: Ring, size: int, this: Round) -> tuple[F64, tuple[str, ...]]:
        asked = partial(self._ask, this=this)
        return secure_sum(asked, kind, said, sorted(self.address), ring, size, this, self.plan.threshold)

    def _finish(self) -> None:
        """Send the common network; each site keeps what is best for it."""
        plan = self.plan
        facts = {**plan.facts(), "tune_steps": plan.tune_steps, "local_steps": plan.local_steps, **self._within}
        last = Round(len(self.history))
        self._late(last)
        arrays: dict[str, Any] = {"weights": self.weights, "initial": self.initial, "everyone": self.everyone}
        arrays["pool"] = self._pooled(last)
        if plan.patterns:
            asked = self._ask(
                "patterns", dict.fromkeys(self.address, Note({**plan.facts(), "round": last.number})), last
            )
            arrays |= {f"{BOX}{site}": note.arrays["box"] for site, note in asked.items() if "box" in note.arrays}
        notes = {one: Note(facts, arrays) for one in self.address}
        for site, note in sorted(self._ask("finish", notes, last).items()):
            last.kept[site] = str(note.facts["kept"])
            last.utility |= {f"{site}/{what}": float(v) for what, v in note.facts.get("utility", {}).items()}
        last.counted = dict.fromkeys(last.kept, 1.0)
        self.history.append(last)
        self._keep()

    def _pooled(self, last: Round) -> F64:
        """Return how many usual windows of all sites score how high by the common network; empty if nobody says."""
        said = Note({**self.plan.facts(), "round": last.number}, {"weights": self.weights, "everyone": self.everyone})
        if self.plan.mode == "secagg":
            try:
                ring = Ring(len(self.address), MOST_COUNTED, 64)
                total, left = self._secure_sum("calibrate", said, ring, GRID, last)
            except TooFewSitesError as error:
                last.failed = f"own thresholds everywhere: {error.message}"
                return np.empty(0)
            return self._believed(np.maximum(total, 0.0), len(left))
        answers = self._ask("calibrate", dict.fromkeys(self.address, said), last)
        pool, came = np.zeros(GRID), 0
        for site, note in sorted(answers.items()):
            count = note.arrays.get("count", np.empty(0))
            right = count.shape == pool.shape and (abs(count) <= MOST_COUNTED).all()
            if right and (self.plan.epsilon or count.min() >= 0):
                pool, came = pool + count, came + 1
            else:
                last.dropped[site] = "counts that are none"
        return self._believed(pool, came) if came >= FEWEST else np.empty(0)

    def _believed(self, pool: F64, sites: int) -> F64:
        """Return the counts of so many sites that are more than their noise, if there is any."""
        if not self.plan.epsilon:
            return pool
        return without_noise(pool, self.plan.privacy.of_scores * float(np.sqrt(sites)))

    def _ask(self, kind: Kind, notes: Mapping[str, Note], this: Round) -> dict[str, Note]:
        """Return the answers by site; bytes and who did not answer go into the round."""
        deadline_s = self.plan.deadline_s * (FINISHING if kind == "finish" else 1)
        most = most_bytes(kind, self._learned, len(self.everyone), len(self.address))
        asked = self.link.ask(kind, {self.address[site]: note for site, note in notes.items()}, deadline_s, most)
        name = {address: site for site, address in self.address.items()}
        this.add(asked, name)
        for address, reason in asked.failed.items():
            this.dropped.setdefault(name[address], f"{kind}: {reason}")
        answers = {}
        for address, note in asked.came.items():
            if why := malformed(kind, note, secure=self.plan.mode == "secagg"):
                this.dropped[name[address]] = f"{kind}: {why}"
            else:
                answers[name[address]] = note
        this.hear(answers)
        return answers

    def _keep(self) -> None:
        if self.folder is not None:
            digest = Checkpoint.digest_of(self.initial)
            kept = Checkpoint(self.weights, self.everyone, self.history, digest, self.id, self.histograms)
            kept.write(self.folder, self.plan)
        self.after(self)
