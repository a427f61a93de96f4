"""Who takes part: sites that say who they are, before round 0 or in the midst of a federation.

A site that comes late is given what the others have agreed on in round 0, and the weights as they are; what it would
have said in round 0 nobody asks any more, so it counts in none of those sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from oddlog.federated.expected import malformed
from oddlog.federated.history import Asked
from oddlog.federated.wire import PROTOCOL, Note
from oddlog.types import F32

MOST_ASKED = 3
"""How often somebody who does not say who he is is asked."""


@dataclass
class Entry:
    """Lets in sites, each once, by its address and key.

    Attributes
    ----------
    names : mapping of str
        The site that an address belongs to, where that is known before anybody is asked.
    address : dict of str
        Of each site that takes part, by name.
    common : str
        Digest of the untrained network that all have in common.
    left_out : dict of str
        Why who said who he is cannot take part, by address; to be told to them.

    """

    names: Mapping[str, str] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    common: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    _asked: dict[str, int] = field(default_factory=dict)

    def unknown(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Return who of these is worth asking who he is."""
        taken = set(self.address.values())
        return tuple(one for one in addresses if one not in taken and self._asked.get(one, 0) < MOST_ASKED)

    def let_in(self, asked: Asked) -> tuple[dict[str, Note], dict[str, str]]:
        """Return what each site that is let in from now on has said, and why others are not, by what they are called.

        The first ones settle which network it is: that of most of them.
        """
        failed = dict(asked.failed)
        failed |= {one: why for one, note in asked.came.items() if (why := malformed("join", note, secure=False))}
        came = {address: note for address, note in asked.came.items() if address not in failed}
        digests = [_digest(note) for note in came.values()]
        self.common = self.common or max(sorted(set(digests)), key=digests.count, default="")
        let_in: dict[str, Note] = {}
        dropped = {self.names.get(address, address): why for address, why in failed.items()}
        for address in failed:
            self._asked[address] = self._asked.get(address, 0) + 1
        for address, note in sorted(came.items(), key=lambda item: (item[1].facts["site"], item[0])):
            site = str(note.facts["site"])
            if reason := self._reason(address, note):
                shown = self.names.get(address, site)
                dropped[f"{shown} ({address})" if shown in self.address else shown] = reason
                self._asked[address] = self._asked.get(address, 0) + 1
                self.left_out[address] = reason
                continue
            self._keys.add(str(note.facts["key"]))
            self.address[site] = address
            let_in[site] = note
        return let_in, dropped

    def _reason(self, address: str, note: Note) -> str:
        """Return why a site is not let in, "" if it is."""
        site, key = str(note.facts["site"]), str(note.facts["key"])
        if note.facts["protocol"] != PROTOCOL:
            return "another version of oddlog"
        if _digest(note) != self.common:
            return "another network"
        taken = site in self.address or (key and key in self._keys) or self.names.get(address, site) != site
        return "the identity of another site" if taken else ""


def _digest(note: Note) -> str:
    """Return the digest of the network that a site begins with: of what it has sent, not what it says of it."""
    sent: F32 = note.arrays["weights"]
    return sha256(sent.tobytes()).hexdigest()
