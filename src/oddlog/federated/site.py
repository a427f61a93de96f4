"""What a site answers. Nothing it sends holds text, template keys, or a number of a single line.

::

    join        layout and digest of the untrained network
    leave       nothing: the server has said why this site cannot take part
    begin       windows, histogram of message types, moments; in clear or masked  (round 0)
    learn       the update, in clear or masked, and how good it is               (every round)
    advertise, share, agree, unmask                                              (secure sums, around those two)
    calibrate   usual scores by the common network, counted; in clear or masked      (the end)
    patterns    its usual windows for the other sites, sealed: the server cannot read them (opt-in)
    finish      which network was kept; the site's own model is made             (the end)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from oddlog.errors import ConfigError
from oddlog.federated.aggregation import clipped
from oddlog.federated.layers import names_of
from oddlog.federated.local import BUCKETS, GAIN, Local
from oddlog.federated.parties import Parties
from oddlog.federated.patterns import Patterns, fitted_together
from oddlog.federated.privacy import PINNED, Bound, Privacy, TooLittlePrivacyError, Veil, require_hidden
from oddlog.federated.quality import Q_MAX, SHARES, Fidelity, Quality, unscaled_weight
from oddlog.federated.quantise import Bits, Feedback
from oddlog.federated.secagg import Identity
from oddlog.federated.secagg.site import RefusedError
from oddlog.federated.wire import PROTOCOL, Note, as_array
from oddlog.types import F32, F64

Kind = Literal[
    "join", "leave", "begin", "learn", "advertise", "share", "agree", "unmask", "calibrate", "patterns", "finish"
]
SENDING = frozenset({"begin", "learn", "calibrate", "patterns", "finish"})
"""Messages that are answered with what a site has counted or learned; the plan's facts stand in each of them."""
EXTRAS = 3
"""Numbers in front of a masked update: the weight, and the weight times the utility and times the squared length of the
update, as a share of the longest one allowed."""
BOX = "patterns/"
"""In front of a site's name: what it has sealed for the others."""
Finish = Callable[[Local], None]


class NoSecretError(RefusedError):
    """A site was asked for what only goes out under a secret that it was not given."""


class OtherVersionError(ConfigError):
    """The server's oddlog speaks otherwise than the one here."""


class LeftOutError(ConfigError):
    """The server lets this site not take part."""


LEFT_OUT: Mapping[str, str] = {
    "another network": "Give --detector and --seed as the other sites, and install one version of oddlog everywhere.",
    "the identity of another site": "Give the key that the roster has under this site's name: --identity",
    "another version of oddlog": "Install one version of oddlog at the server and all sites.",
}
"""What a site can do where a server says why it is left out; other reasons are not repeated."""


@dataclass
class Site:
    """A federated client.

    Parameters
    ----------
    name : str
        What it is called in reports; sent.
    make : callable
        Returns its windows and its network (`Local`), asked once, and only by messages that need them.
    identity : Identity, optional
        Signs its keys for secure sums.
    roster : mapping of str to bytes
        Public keys of the sites it sums with.
    finish : callable, optional
        Given the site with the network that was kept: makes the site's model.
    bound : Bound, optional
        The most that it gives away of any window; a server that asks for more ends it.

    """

    name: str
    make: Callable[[], Local]
    identity: Identity | None = None
    roster: Mapping[str, bytes] = field(default_factory=dict)
    finish: Finish | None = None
    bound: Bound | None = None
    ends: ConfigError | None = None  # why it takes part no longer
    spent: list[list[float]] = field(default_factory=list)  # epsilon and delta of each federation so far
    shared: bytes = b""  # secret of all sites, which the server lacks; with it they show each other usual windows
    federation: str = ""  # the one that `owed` and `given` are of
    owed: dict[int, F32] = field(default_factory=dict)  # by round: what quantisation owed when it began
    given: dict[str, str] = field(default_factory=dict)  # with differential privacy: what was answered, for what
    secret: bytes = field(default_factory=lambda: os.urandom(32))  # its noise comes from, where there is no identity
    parties: Parties = field(default_factory=Parties)  # what it has sent masked, and with whom that was summed

    @cached_property
    def local(self) -> Local:
        """Its windows and its network."""
        local = self.make()
        self.initial = local.vector  # untrained: what sites must have in common
        return local

    def answer(self, kind: Kind, asked: Note) -> Note:
        """Answer the server.

        Raises
        ------
        OddlogError
            Where the site refuses; the message is for the site's operator and is not sent.

        """
        if asked.facts.get("protocol", PROTOCOL) != PROTOCOL:
            self.ends = OtherVersionError(
                f"The server speaks protocol {asked.facts['protocol']!r}, this site {PROTOCOL}.",
                LEFT_OUT["another version of oddlog"],
            )
            raise self.ends
        hidden = kind in SENDING and self._promise(asked.facts)
        note = self._answers(kind)(asked)
        if hidden:
            require_hidden(kind, note)
        return note

    def _answers(self, kind: Kind) -> Callable[[Note], Note]:
        answers: dict[Kind, Callable[[Note], Note]] = {
            "join": self._join,
            "leave": self._leave,
            "begin": self._begin,
            "learn": self._learn,
            "advertise": lambda asked: self.parties.advertise(asked, self.name, self.identity, self.roster),
            "share": self.parties.share,
            "agree": self.parties.agree,
            "unmask": self.parties.unmask,
            "calibrate": self._calibrate,
            "patterns": self._patterns,
            "finish": self._finish,
        }
        return answers[kind]

    def state(self) -> Note:
        """Return what a site whose process ends between two messages must keep. Secret: it stays at the site."""
        facts = {
            "federation": self.federation,
            "given": self.given,
            "secret": self.secret.hex(),
            "spent": self.spent,
            **self.parties.facts(),
        }
        return Note(facts, {str(number): owed for number, owed in self.owed.items()})

    def recall(self, state: Note) -> None:
        """Take over what `state` returned."""
        self.federation = state.facts["federation"]
        self.parties = Parties.of(state.facts)
        self.owed = {int(number): owed for number, owed in state.arrays.items()}
        self.given = dict(state.facts.get("given", {}))
        self.secret = bytes.fromhex(state.facts["secret"]) if "secret" in state.facts else self.secret
        self.spent = [list(one) for one in state.facts.get("spent", [])]

    def _promise(self, facts: Mapping[str, Any]) -> bool:
        """Hide single windows from now on, as the plan says, and return whether that is so.

        What was promised once in a federation stays so: rounds, steps and seed too, or a server could have a round
        answered twice under two names.
        """
        privacy = Privacy.of(facts)
        said = "" if privacy is None else repr([facts[name] for name in PINNED])
        if self.given.get("promise", said) != said:
            raise RefusedError("Sites were promised another privacy, rounds, steps or seed when this federation began.")
        if "promise" not in self.given:
            self._require_bound(privacy)
            self.spent += [] if privacy is None else [[privacy.epsilon, privacy.delta]]
            self.given["promise"] = said
        secret = self.secret if self.identity is None else self.identity.secret("noise")
        self.local.veil = None if privacy is None else Veil(privacy, secret, self.federation, self.given)
        return privacy is not None

    def _require_bound(self, privacy: Privacy | None) -> None:
        if self.bound is not None:
            try:
                self.bound.require(privacy, self.spent)
            except TooLittlePrivacyError as error:
                self.ends = error
                raise

    def _join(self, asked: Note) -> Note:
        if (federation := str(asked.facts.get("federation", ""))) != self.federation:
            self.federation, self.owed, self.given = federation, {}, {}
            self.parties.forget()
        layout, sums = self.local.layout, self.local.sums()
        facts = {
            "protocol": PROTOCOL,
            "site": self.name,
            "detector": self.local.detector.name,
            "names": layout.names,
            "shapes": layout.shapes,
            "layers": names_of(self.local.detector),
            "sums": len(sums),
            "key": "" if self.identity is None else self.identity.public.hex(),
        }
        return Note(facts, {"weights": self.initial})

    def _leave(self, asked: Note) -> Note:
        why = str(asked.facts.get("why", ""))
        said = why if why in LEFT_OUT else "for a reason that is not known here"
        self.ends = LeftOutError(f"The server has left {self.name} out: {said}.", LEFT_OUT.get(why, ""))
        return Note({})

    def _begin(self, asked: Note) -> Note:
        """Send what is summed before learning; the histogram in it sums to the windows."""
        _require_round(asked, 0, 0)
        own = self.local.sums()
        if asked.facts["secure"]:
            return self.parties.mask("begin", asked, own)
        return Note({"round": 0}, {"sums": own})

    def _learn(self, asked: Note) -> Note:
        facts = asked.facts
        everyone = asked.arrays["everyone"].astype(np.float64)
        self.local.set_sums(everyone)
        begun = asked.arrays["weights"].astype(np.float32)
        number = _require_round(asked, 1, int(facts["rounds"]))
        seed = int(facts["seed"]) * 100_003 + number
        after = self.local.trained(begun, int(facts["steps"]), seed, float(facts["prox"]), self._taken(facts))
        layers = self.local.layers if facts.get("layers") and self.local.veil is None else None  # nothing hides them
        inputs = None if layers is None else self.local.inputs(layers, seed)
        update = clipped((after - begun).astype(np.float32), float(facts["norm"]))
        with_own = self._with_own(facts, everyone)[:BUCKETS]
        quality = Quality.of(self.local.utility(begun + update), self.local.histogram(), with_own)
        f1 = self._f1(begun + update)
        if facts["secure"]:
            weight = self._weight(quality, facts)
            square = float((update.astype(np.float64) ** 2).sum()) / float(facts["norm"]) ** 2
            extras = [weight, weight * quality.utility, weight * square]
            parts: list[NDArray[Any]] = [update]
            if layers is not None and inputs is not None:
                parts = [inputs, layers.product(inputs, update)]
            masked = self.parties.mask("learn", asked, np.concatenate([extras, *(weight * part for part in parts)]))
            return Note({**masked.facts, **f1}, masked.arrays)
        said = {
            **f1,
            "round": number,
            "utility": quality.utility,
            **self._loss(begun + update),
        }
        arrays = {"update": self._written(update, number, facts["bits"])}
        if inputs is not None:
            arrays["inputs"] = inputs.astype(np.float16) if facts["bits"] else inputs
        return Note(said, arrays)

    def _with_own(self, facts: Mapping[str, Any], everyone: F64) -> F64:
        """Return the sums of round 0 [s] with this site's histogram: one that came late is not among them."""
        if self.name in facts.get("within", (self.name,)):
            return everyone
        return np.concatenate([everyone[:BUCKETS] + self.local.histogram(), everyone[BUCKETS:]])

    def _taken(self, facts: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the steps that were taken in earlier rounds, and after how many the learning rate is half."""
        return ((int(facts["round"]) - 1) * int(facts["steps"]), int(facts["decay"])) if facts.get("decay") else None

    def _f1(self, vector: F32) -> dict[str, float]:
        """Return F1 by some weights [p]: a site that was given labels tells that one number, in clear."""
        f1 = self.local.f1(vector)
        return {} if f1 is None else {"f1": f1}

    def _loss(self, vector: F32) -> dict[str, float]:
        """Return the loss by some weights [p], where there are windows to tell it by; behind a veil nothing."""
        if self.local.veil is not None:
            return {}
        loss = self.local.loss(vector)
        return {"loss": loss} if np.isfinite(loss) else {}

    def _weight(self, quality: Quality, facts: Mapping[str, Any]) -> float:
        """Return what the update is multiplied by before it is masked; at most 1."""
        if facts["weigh"] == "data":
            return quality.share
        if facts["weigh"] == "equal":
            return 1.0
        fidelity: Fidelity = facts["fidelity"]
        score = quality.score(fidelity, facts.get("shares", SHARES))
        return unscaled_weight(min(score, Q_MAX), float(facts["temperature"]))

    def _written(self, update: F32, number: int, bits: Bits | Literal[0]) -> Any:
        """Return the update as it is sent; a round that is asked for again is answered alike."""
        if not bits:
            return update
        feedback = Feedback(bits, self.owed.get(number, np.zeros(0, np.float32)))
        content = feedback.sent(update)
        self.owed = {number: self.owed.get(number, np.zeros(0, np.float32)), number + 1: feedback.owed}
        return as_array(content)

    def _calibrate(self, asked: Note) -> Note:
        """Send how many usual windows that nobody has learned from score how high by the common network."""
        _require_round(asked, 1, int(asked.facts["rounds"]) + 1)
        self.local.set_sums(asked.arrays["everyone"].astype(np.float64))
        count = self.local.counted(asked.arrays["weights"].astype(np.float32))
        return self.parties.mask("calibrate", asked, count) if asked.facts.get("secure") else Note({}, {"count": count})

    def _patterns(self, _asked: Note) -> Note:
        """Send the distinct windows that were learned from, as only the other sites can read them."""
        if not self.shared:
            raise NoSecretError(f"{self.name} was given no secret to show other sites its usual windows under.")
        if self.local.veil is not None:
            raise RefusedError("Single windows were promised to stay hidden.")
        found = Patterns.of_windows(self.local.learned, self.local.context, self.shared)
        return Note({}, {"box": as_array(found.sealed(self.shared, self.federation, self.name))})

    def _learn_patterns(self, asked: Note) -> None:
        """Fit the members that read counts to the windows of all sites."""
        boxes = {name.removeprefix(BOX): asked.bytes_of(name) for name in asked.arrays if name.startswith(BOX)}
        others = {
            site: found
            for site, box in boxes.items()
            if site != self.name and (found := Patterns.unsealed(box, self.shared, self.federation, site)) is not None
        }
        if others:
            local = self.local
            local.together = fitted_together(
                local.learned, local.context, others, self.shared, int(asked.facts["seed"])
            )

    def _finish(self, asked: Note) -> Note:
        """Choose among the common network, that fine-tuned here, and what stands in `local_steps`; make the model."""
        facts, everyone = asked.facts, asked.arrays["everyone"].astype(np.float64)
        seed, common = int(facts["seed"]), asked.arrays["weights"].astype(np.float32)
        self.local.set_sums(everyone)
        alike, of_sites = str(facts.get("alike", "auto")), self._with_own(facts, everyone)
        self.local.set_pool(asked.arrays.get("pool", np.empty(0)), of_sites, alike)
        self.local.veil = None  # from here on nothing leaves the site but what is told below
        of_all, unlike = self.local.moments, not self.local.alike(of_sites, alike)
        found = {"common": (common, of_all)}
        if facts["tune_steps"]:
            found["tuned"] = (self.local.fine_tuned(common, int(facts["tune_steps"]), seed), of_all)
        if facts["local_steps"] or unlike:
            steps = int(facts["local_steps"]) or int(facts["rounds"]) * int(facts["steps"])
            initial = asked.arrays["initial"].astype(np.float32)
            own = {"local": (self.local.alone(initial, steps, seed), self.local.own)}
            found = own | found if unlike else found | own  # the first is kept unless another is clearly better
        kept, utility = self.local.chosen(found, 0.0 if unlike else GAIN)
        self.local.put(*found[kept])
        if kept != "common":
            self.local.pool = None  # of the common network: no other's scores are like these
        if self.shared:
            self._learn_patterns(asked)
        if self.finish is not None:
            self.finish(self.local)
        if facts.get("epsilon"):
            return Note({"kept": "not told"})
        f1 = self._f1(self.local.vector)
        if facts["secure"]:
            return Note({"kept": kept, **f1})
        return Note({"kept": kept, "utility": utility, **f1})


def _require_round(asked: Note, first: int, last: int) -> int:
    """Return which round it is, where it is one of those in which this is asked.

    Under another number the same would be summed again, for other survivors.
    """
    number = int(asked.facts["round"])
    if not first <= number <= last:
        raise RefusedError(f"There is no round {number} of {last} in which this is asked.")
    return number
