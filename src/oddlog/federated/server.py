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
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from oddlog.errors import ConfigError, OddlogError, did_you_mean
from oddlog.federated.aggregation import TRIM, Rule, aggregate
from oddlog.federated.checkpoint import Checkpoint
from oddlog.federated.gate import Gate, oversized
from oddlog.federated.history import Asked, Round
from oddlog.federated.layout import Layout
from oddlog.federated.local import BUCKETS
from oddlog.federated.quality import TEMPERATURE, Fidelity, Quality, capped, checked_temperature, softmax_weights
from oddlog.federated.quantise import Bits, DamagedError, restored
from oddlog.federated.secagg import Ring, SecureSum
from oddlog.federated.secagg.keys import Advert
from oddlog.federated.secagg.server import TooFewSitesError, threshold_of
from oddlog.federated.site import EXTRAS, Kind
from oddlog.federated.wire import PROTOCOL, Note, as_array
from oddlog.types import F32, F64

Mode = Literal["visible", "secagg"]
Weigh = Literal["quality", "data", "equal"]
BOUND = 4.0
"""Largest change of one weight in a round that a secure sum holds."""
MOST_SUMMED = 1e12
"""Largest sum of a site before learning (windows, squares of features) that a secure sum holds."""
FEWEST = 2
FINISHING = 10.0
"""In the end sites fit all members of their models: so many times the deadline of a round."""
MOST_FAILED = 3  # rounds in a row without an update, after which a federation ends


class Link(Protocol):
    """How the server reaches the sites."""

    def sites(self) -> tuple[str, ...]:
        """Return the addresses of those that are there."""
        ...

    def ask(self, kind: Kind, notes: Mapping[str, Note], deadline_s: float) -> Asked:
        """Return the answers that came in time, by address, and why others did not."""
        ...


class FederationError(OddlogError):
    """A federation that cannot begin or go on."""


@dataclass(frozen=True)
class Plan:
    """How sites learn together.

    Attributes
    ----------
    rounds, steps : int
        Rounds, and steps of training at each site in each of them.
    mode : "visible" or "secagg"
        Whether the server sees the updates of the sites or only their sum.
    rule : "mean", "median" or "trimmed"
        What becomes of visible updates.
    weigh : "quality", "data" or "equal"
        What a site's update counts by in the mean.
    fidelity : "corrected" or "paper"
        Of the quality.
    temperature, most : float
        Of the softmax; the largest weight of a site in mode visible.
    prox : float
        Pull towards where the round began (FedProx); 0 is none.
    bits : 0, 2, 4 or 8
        Of a number of a visible update; 0 is float32.
    norm : float
        Length that a site cuts its update to; visible ones that are longer are refused.
    threshold : int
        Sites that a secure sum needs at least; 0 is just above half.
    tune_steps, local_steps : int
        Of fine-tuning at the end, and of the local network that the common one is held against.
    deadline_s : float
        How long a round waits for the sites.
    seed : int
        Same logs, seed and plan, same networks.

    """

    rounds: int = 10
    steps: int = 100
    mode: Mode = "visible"
    rule: Rule = "mean"
    weigh: Weigh = "quality"
    fidelity: Fidelity = "corrected"
    temperature: float = TEMPERATURE
    most: float = 1.0
    prox: float = 0.0
    bits: Bits | Literal[0] = 0
    norm: float = 100.0
    trim: float = TRIM
    threshold: int = 0
    tune_steps: int = 0
    local_steps: int = 0
    deadline_s: float = 600.0
    seed: int = 0

    def checked(self) -> Plan:
        """Return the plan, or raise a ConfigError that says what of it makes no sense."""
        for name, words in (("mode", Mode), ("rule", Rule), ("weigh", Weigh), ("fidelity", Fidelity)):
            if (value := getattr(self, name)) not in get_args(words):
                raise ConfigError(f"There is no {name} called '{value}'.", did_you_mean(value, get_args(words)))
        checked_temperature(self.temperature)
        if self.bits and self.bits not in get_args(Bits):
            raise ConfigError(f"Updates are not written in {self.bits} bits.", "Write 8, 4 or 2, or 0 for float32.")
        if self.rounds < 1 or self.steps < 1:
            raise ConfigError(f"{self.rounds} rounds of {self.steps} steps teach nothing.", "Write at least 1 of each.")
        if self.mode == "secagg":
            blind = {"rule": self.rule != "mean", "bits": bool(self.bits), "fidelity": self.fidelity == "paper"}
            for name in (name for name, asked in blind.items() if asked):
                raise ConfigError(
                    f"In mode secagg the server sees no site's update, so '{name}: {getattr(self, name)}' cannot be.",
                    "Leave it out, or write mode = visible.",
                )
        return self

    def facts(self) -> dict[str, Any]:
        """Return what the sites are told in each round."""
        names = ("steps", "prox", "norm", "bits", "seed", "weigh", "fidelity", "temperature")
        return {name: getattr(self, name) for name in names} | {"secure": self.mode == "secagg"}


@dataclass
class Federation:
    """A server with its sites.

    Attributes
    ----------
    address : mapping of str to str
        Of each site that takes part, by name.
    weights : F32 [p]
        Of the common network.
    everyone : F64 [s]
        Sums over all sites before learning: the histogram of message types [64], and moments.
    history : list of Round
        What happened, round 0 first.
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
    initial: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    everyone: F64 = field(default_factory=lambda: np.zeros(BUCKETS))
    history: list[Round] = field(default_factory=list)
    id: str = ""

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
        while len(self.history) <= self.plan.rounds:
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

    def _join(self, kept: Checkpoint | None) -> None:
        """Ask who is there; the network of most of them is that of the federation."""
        addresses = self.link.sites()
        self.id = os.urandom(8).hex() if kept is None else kept.id
        note = Note({"protocol": PROTOCOL, "federation": self.id})
        asked = self.link.ask("join", dict.fromkeys(addresses, note), self.plan.deadline_s)
        self._joined = Round(0, up=asked.up, down=asked.down, dropped=dict(asked.failed))
        digests = [str(note.facts["digest"]) for note in asked.came.values()]
        common = kept.digest if kept is not None else max(sorted(set(digests)), key=digests.count, default="")
        keys: set[str] = set()
        for address, note in sorted(asked.came.items(), key=lambda item: (item[1].facts["site"], item[0])):
            site, key = str(note.facts["site"]), str(note.facts["key"])
            reason = (
                "another version of oddlog"
                if note.facts["protocol"] != PROTOCOL
                else "another network"
                if note.facts["digest"] != common
                else "the identity of another site"
                if site in self.address or (key and key in keys)
                else ""
            )
            if reason:
                self._joined.dropped[f"{site} ({address})" if site in self.address else site] = reason
                continue
            keys.add(key)
            self.address[site] = address
            shapes = tuple(tuple(shape) for shape in note.facts["shapes"])
            self.layout, self.initial = Layout(tuple(note.facts["names"]), shapes), note.arrays["weights"]
            self.everyone = np.zeros(int(note.facts["sums"]))
        self.weights = self.initial.copy()
        if len(self.address) < FEWEST:
            why = "; ".join(f"{site}: {reason}" for site, reason in self._joined.dropped.items()) or "nobody came"
            raise FederationError(f"{len(self.address)} sites can learn together, at least {FEWEST} must ({why}).")

    def _begin(self) -> None:
        """Round 0: windows, message types and moments of everyone."""
        first, size = self._joined, len(self.everyone)
        if self.plan.mode == "secagg":
            ring = Ring(len(self.address), MOST_SUMMED, 64)
            total, came = self._secure_sum("begin", {"round": 0, "secure": True}, {}, ring, size, first)
            self.everyone = np.append(np.maximum(total[:BUCKETS], 0.0), total[BUCKETS:])
        else:
            asked = self._ask("begin", {site: Note({"round": 0, "secure": False}) for site in self.address}, first)
            came = tuple(sorted(asked))
            for site in came:
                sums = asked[site].arrays["sums"]
                right = sums.shape == self.everyone.shape and np.isfinite(sums).all()
                if right and (sums[:BUCKETS] >= 0).all():
                    self.everyone = self.everyone + sums
                else:
                    first.dropped[site] = "sums that are none"
            came = tuple(site for site in came if site not in first.dropped)
        first.counted = dict.fromkeys(came, 1.0)
        self.history = [first]
        self._keep()

    def _round(self, number: int) -> Round:
        this = Round(number)
        facts = {**self.plan.facts(), "round": number}
        arrays = {"weights": self.weights, "everyone": self.everyone}
        try:
            update = self._summed(facts, arrays, this) if facts["secure"] else self._seen(facts, arrays, this)
        except TooFewSitesError as error:
            this.failed = error.message
            return this
        if update is not None:
            self.weights = (self.weights + update).astype(np.float32)
        return this

    def _seen(self, facts: dict[str, Any], arrays: dict[str, Any], this: Round) -> F64 | None:
        """Return the update [p] of those that are let in."""
        gate = Gate(self.layout.size, self.address.keys(), self.plan.norm * 1.001)
        gate.begin(this.number)
        answers = self._ask("learn", {site: Note(facts, arrays) for site in self.address}, this)
        updates, quality = {}, {}
        for site, note in sorted(answers.items()):
            update = gate.let_in(site, int(note.facts.get("round", -1)), self._unpacked(note))
            if update is not None:
                updates[site] = update
                parts = [float(note.facts.get(name, 0.0)) for name in ("utility", "share", "closeness", "divergence")]
                quality[site] = Quality(*parts)
        if updates:
            far = oversized(np.stack(list(updates.values())))
            for site in [site for site, too_far in zip(updates, far, strict=True) if too_far]:
                gate.refuse(site, "update far longer than the others'")
                del updates[site]
        for reason, site in gate.refused.examples.items():
            this.dropped.setdefault(site, reason)
        this.refused = dict(gate.refused.counts)
        if len(updates) < FEWEST:
            this.failed = f"{len(updates)} updates came, and at least {FEWEST} are needed"
            return None
        weight = self._weight([quality[site] for site in updates])
        this.counted = dict(zip(updates, weight.tolist(), strict=True))
        this.quality = {site: quality[site].score(self.plan.fidelity) for site in updates}
        this.utility = {site: quality[site].utility for site in updates}
        return aggregate(np.stack(list(updates.values())), weight, self.plan.rule, self.plan.trim)

    def _weight(self, quality: list[Quality]) -> F64:
        if self.plan.rule != "mean" or self.plan.weigh == "equal":
            return np.full(len(quality), 1 / len(quality))
        if self.plan.weigh == "data":
            share = np.array([one.share for one in quality]) + 1e-12
            return capped(share / share.sum(), self.plan.most)
        score = [one.score(self.plan.fidelity) for one in quality]
        return capped(softmax_weights(score, self.plan.temperature), self.plan.most)

    def _unpacked(self, note: Note) -> Any:
        """Return the update that a note holds; what is damaged is an array that no gate lets in."""
        update = note.arrays.get("update", np.zeros(0, np.float32))
        if not self.plan.bits:
            return update
        try:
            return restored(update.tobytes(), self.layout.size, self.plan.bits)
        except DamagedError:
            return np.zeros(0, np.float32)

    def _summed(self, facts: dict[str, Any], arrays: dict[str, Any], this: Round) -> F64 | None:
        """Return the update [p] as the quotient of two secure sums: Σ e_k·Δ_k / Σ e_k."""
        ring = Ring(len(self.address), BOUND)
        total, came = self._secure_sum("learn", facts, arrays, ring, EXTRAS + self.layout.size, this)
        this.counted = dict.fromkeys(came, float("nan"))  # nobody but the site knows
        weight = max(float(total[0]), 1e-6)
        this.utility = {"all": float(total[1] / weight)}
        return total[EXTRAS:] / weight

    def _secure_sum(
        self, kind: Kind, facts: dict[str, Any], arrays: dict[str, Any], ring: Ring, size: int, this: Round
    ) -> tuple[F64, tuple[str, ...]]:
        """Return the sum [size] over the sites that are left, and who they are."""
        sites = sorted(self.address)
        threshold = self.plan.threshold or threshold_of(len(sites))
        server = SecureSum(os.urandom(16), threshold, ring, size)
        session = {"session": server.session.hex(), "round": this.number}
        try:
            came = self._ask("advertise", {one: Note({**session, "threshold": threshold}) for one in sites}, this)
            adverts = server.adverts({one: _advert(note) for one, note in came.items()})
            keys = {one: [getattr(advert, name).hex() for name in _ADVERT] for one, advert in adverts.items()}
            came = self._ask("share", {one: Note({**session, "adverts": keys}) for one in adverts}, this)
            boxes = server.boxes({one: {to: n.bytes_of(to) for to in n.arrays} for one, n in came.items()})
            notes = {}
            for one, mine in boxes.items():
                sealed = {f"box/{peer}": as_array(box) for peer, box in mine.items()}
                said = {**facts, **session, "boxes": sorted(mine), "ring": [ring.sites, ring.bound, ring.bits]}
                notes[one] = Note(said, {**arrays, **sealed})
            came = self._ask(kind, notes, this)
            survivors = server.survivors({one: _masked(note) for one, note in came.items()})
            came = self._ask("unmask", {one: Note({**session, "survivors": survivors}) for one in survivors}, this)
            total = server.total({one: _given(note) for one, note in came.items()})
        finally:
            this.refused |= dict(server.refused.counts)
            for reason, site in server.refused.examples.items():
                this.dropped.setdefault(site, reason)
        return total, survivors

    def _finish(self) -> None:
        """Send the common network; each site keeps what is best for it."""
        plan = self.plan
        facts = {"tune_steps": plan.tune_steps, "local_steps": plan.local_steps, "seed": plan.seed}
        facts |= {"secure": plan.mode == "secagg"}
        last = Round(len(self.history))
        arrays: dict[str, Any] = {"weights": self.weights, "initial": self.initial, "everyone": self.everyone}
        notes = {one: Note(facts, arrays) for one in self.address}
        for site, note in sorted(self._ask("finish", notes, last).items()):
            last.kept[site] = str(note.facts["kept"])
            last.utility |= {f"{site}/{what}": float(v) for what, v in note.facts.get("utility", {}).items()}
        last.counted = dict.fromkeys(last.kept, 1.0)
        self.history.append(last)
        self._keep()

    def _ask(self, kind: Kind, notes: Mapping[str, Note], this: Round) -> dict[str, Note]:
        """Return the answers by site; bytes and who did not answer go into the round."""
        deadline_s = self.plan.deadline_s * (FINISHING if kind == "finish" else 1)
        asked = self.link.ask(kind, {self.address[site]: note for site, note in notes.items()}, deadline_s)
        name = {address: site for site, address in self.address.items()}
        this.up += asked.up
        this.down += asked.down
        this.seconds += asked.seconds
        for address, reason in asked.failed.items():
            this.dropped.setdefault(name[address], f"{kind}: {reason}")
        return {name[address]: note for address, note in asked.came.items()}

    def _keep(self) -> None:
        if self.folder is not None:
            digest = Checkpoint.digest_of(self.initial)
            Checkpoint(self.weights, self.everyone, self.history, digest, self.id).write(self.folder, self.plan)


_ADVERT = ("seal", "mask", "signature")


def _advert(note: Note) -> Advert:
    return Advert(*(note.bytes_of(name) for name in _ADVERT))


def _masked(note: Note) -> tuple[Any, bytes]:
    return note.arrays["masked"], note.bytes_of("commitment")


def _given(note: Note) -> dict[str, Any]:
    return {site: (kind, note.bytes_of(site)) for site, kind in note.facts["kinds"].items()}
