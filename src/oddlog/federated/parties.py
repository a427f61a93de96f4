"""A site's side of secure sums, answer by answer: `Site` says what is summed, `secagg` how it is hidden.

::

    advertise   keys of this session alone
    share       seeds for the other sites, sealed
    mask        what the site has counted or learned, masked
    agree       a signature under the sites that the server names
    unmask      what a threshold of sites needs to lift the masks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oddlog.federated.secagg import Identity, Party, Ring
from oddlog.federated.secagg.keys import Advert
from oddlog.federated.secagg.site import RefusedError
from oddlog.federated.wire import Note, as_array
from oddlog.types import F64


@dataclass
class Parties:
    """What a site remembers of secure sums, so that nothing it has sent is summed twice.

    Attributes
    ----------
    party : dict of Party
        By session; the last one only.
    masked : dict of str
        By session: which answer, of which round, was masked in it.
    summed : dict of tuple
        By such an answer: with which sites it was summed.

    """

    party: dict[str, Party] = field(default_factory=dict)
    masked: dict[str, str] = field(default_factory=dict)
    summed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def advertise(self, asked: Note, name: str, identity: Identity | None, roster: Mapping[str, bytes]) -> Note:
        """Begin a session, and end the one before."""
        session = bytes.fromhex(asked.facts["session"])
        party = Party(name, session, int(asked.facts["threshold"]), identity, roster)
        self.party, self.masked = {session.hex(): party}, {}
        advert = party.advertise()
        return Note({}, {key: as_array(getattr(advert, key)) for key in ("seal", "mask", "signature")})

    def share(self, asked: Note) -> Note:
        """Seal seeds for the sites that advertised."""
        adverts = {site: Advert(*map(bytes.fromhex, keys)) for site, keys in asked.facts["adverts"].items()}
        boxes = self._of(asked).share(adverts)
        return Note({}, {site: as_array(box) for site, box in boxes.items()})

    def mask(self, kind: str, asked: Note, values: F64) -> Note:
        """Return values [p], masked, as the answer of this kind."""
        self.masked[asked.facts["session"]] = f"{kind} {int(asked.facts['round'])}"
        sites, bound, bits = asked.facts["ring"]
        boxes = {site: asked.bytes_of(f"box/{site}") for site in asked.facts["boxes"]}
        masked, seed = self._of(asked).mask(values, Ring(sites, bound, bits), boxes)
        return Note({"round": asked.facts["round"]}, {"masked": masked, "commitment": as_array(seed)})

    def agree(self, asked: Note) -> Note:
        """Sign who is summed, once for each answer."""
        party, survivors = self._of(asked), tuple(asked.facts["survivors"])
        what = self.masked.get(asked.facts["session"])  # what this site sent, whatever it is called now
        if what is None:
            raise RefusedError("A session that this site has sent nothing in.")
        if self.summed.setdefault(what, survivors) != survivors:
            raise RefusedError(
                f"'{what}' was summed for other sites before; the difference would show what one of them sent."
            )
        return Note({}, {"signature": as_array(party.agree(survivors))})

    def unmask(self, asked: Note) -> Note:
        """Give away the shares of those summed, where a threshold of sites has signed the same."""
        given = self._of(asked).unmask({site: asked.bytes_of(site) for site in asked.arrays})
        kinds = {site: kind for site, (kind, _) in given.items()}
        return Note({"kinds": kinds}, {site: as_array(share) for site, (_, share) in given.items()})

    def forget(self) -> None:
        """Begin another federation: its rounds have the numbers of the last one's."""
        self.summed = {}

    def facts(self) -> dict[str, Any]:
        """Return what a site whose process ends between two messages must keep. Secret."""
        parties = {session: party.state().hex() for session, party in self.party.items()}
        return {"parties": parties, "masked": self.masked, "summed": self.summed}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Parties:
        """Return what `facts` told of."""
        parties = {session: bytes.fromhex(party) for session, party in facts["parties"].items()}
        return cls(
            {session: Party.from_state(party) for session, party in parties.items()},
            dict(facts.get("masked", {})),
            {what: tuple(survivors) for what, survivors in facts["summed"].items()},
        )

    def _of(self, asked: Note) -> Party:
        session = asked.facts["session"]
        if session not in self.party:
            raise RefusedError("A session that this site has not begun.")
        return self.party[session]


__all__ = ["Parties"]
