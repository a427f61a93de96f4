"""The secure sum is the plain sum, whoever is gone; and nobody gives away what it is to hide."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="extra 'federated'")
pytest.importorskip("Crypto", reason="extra 'federated'")

from oddlog.errors import ConfigError
from oddlog.federated.secagg import Identity, Party, Ring, SecureSum
from oddlog.federated.secagg.keys import KeyPair
from oddlog.federated.secagg.server import TooFewSitesError, threshold_of
from oddlog.federated.secagg.shares import combined
from oddlog.federated.secagg.site import RefusedError, own_mask_key

SESSION = b"round 1 of a test"
AFTER = ("agree", "unmask")  # stages at which a vector has been sent
STAGES = ("advertise", "share", "mask", "agree", "unmask")


@dataclass
class Sites:
    """All sites of one round, some of which go before a stage."""

    values: dict[str, np.ndarray]
    threshold: int
    gone: dict[str, str] = field(default_factory=dict)  # by site: the stage it never takes
    ring: Ring = None
    signed: bool = True

    def __post_init__(self):
        self.ring = self.ring or Ring(len(self.values), 4.0)
        self.size = len(next(iter(self.values.values())))
        one = {name: Identity.new() if self.signed else None for name in self.values}
        roster = {name: identity.public for name, identity in one.items()} if self.signed else {}
        self.parties = {name: Party(name, SESSION, self.threshold, one[name], roster) for name in self.values}
        self.server = SecureSum(SESSION, self.threshold, self.ring, self.size)

    def there(self, stage):
        later = STAGES[STAGES.index(stage) :]
        before = STAGES[: STAGES.index(stage)]
        return [
            name
            for name in self.parties
            if self.gone.get(name, "") in (*later[1:], "") and self.gone.get(name) not in before
        ]

    def adverts(self):
        return self.server.adverts({name: self.parties[name].advertise() for name in self.there("advertise")})

    def sent(self):
        adverts = self.adverts()
        boxes = self.server.boxes({name: self.parties[name].share(adverts) for name in self.there("share")})
        return {name: self.parties[name].mask(self.values[name], self.ring, boxes[name]) for name in self.there("mask")}

    def total(self):
        survivors = self.server.survivors(self.sent())
        agreed = self.agreed(survivors, self.there("agree"))
        return self.server.total({name: self.parties[name].unmask(agreed) for name in self.there("unmask")})

    def agreed(self, survivors, among=None):
        return self.server.agreed({name: self.parties[name].agree(survivors) for name in among or self.parties})


def sites_of(n, size=5, seed=0, **options):
    draw = np.random.default_rng(seed)
    values = {f"site {i}": draw.uniform(-4, 4, size) for i in range(n)}
    return Sites(values, options.pop("threshold", threshold_of(n)), **options)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_secure_sum_of_weighted_updates_is_the_plain_one_with_any_droppers(data):
    n = data.draw(st.integers(2, 8), "sites")
    size = data.draw(st.integers(1, 40), "size")
    weight = np.array(data.draw(st.lists(st.floats(0.05, 1), min_size=n, max_size=n), "weights"))
    updates = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 1, (n, size)).clip(-4, 4)
    gone = data.draw(
        st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(STAGES)), max_size=n - threshold_of(n)), "gone"
    )
    values = {f"site {i}": np.append(weight[i], weight[i] * updates[i]) for i in range(n)}
    sites = Sites(values, threshold_of(n), gone={f"site {i}": stage for i, stage in gone})
    total = sites.total()
    left = [i for i in range(n) if sites.gone.get(f"site {i}", "agree") in AFTER]
    plain = (weight[left, None] * updates[left]).sum(0) / weight[left].sum()
    np.testing.assert_allclose(total[1:] / total[0], plain, atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_two_of_five_sites_may_go_at_any_stage(stage):
    sites = sites_of(5, gone={"site 1": stage, "site 3": stage})
    left = [0, 1, 2, 3, 4] if stage in AFTER else [0, 2, 4]
    np.testing.assert_allclose(sites.total(), sum(sites.values[f"site {i}"] for i in left), atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_below_the_threshold_there_is_no_sum(stage):
    sites = sites_of(5, gone=dict.fromkeys(("site 1", "site 2", "site 3"), stage))
    with pytest.raises((TooFewSitesError, RefusedError)):
        sites.total()


def test_a_ring_of_64_bits_is_exact_to_the_twelfth_digit():
    sites = sites_of(4, ring=Ring(4, 4.0, 64))
    np.testing.assert_allclose(sites.total(), sum(sites.values.values()), atol=1e-12)


def test_values_at_the_bound_do_not_leave_the_ring():
    sites = Sites({f"site {i}": np.array([4.0, -4.0, 9.0]) for i in range(10)}, 6)
    np.testing.assert_allclose(sites.total(), [40, -40, 40], atol=1e-5)  # 9 is cut to the bound


def test_what_a_site_sends_looks_like_noise_and_never_twice_alike():
    zeros = {f"site {i}": np.zeros(4_096) for i in range(3)}
    first, second = Sites(zeros, 2).sent(), Sites(zeros, 2).sent()
    for name in zeros:
        bits = np.unpackbits(first[name][0].view(np.uint8))
        assert abs(bits.mean() - 0.5) < 0.01
        assert not (first[name][0] == second[name][0]).any()


def test_no_message_but_the_last_holds_a_seed():
    sites = sites_of(3)
    adverts = sites.adverts()
    shared = {name: party.share(adverts) for name, party in sites.parties.items()}
    boxes = sites.server.boxes(shared)
    masked = {name: p.mask(sites.values[name], sites.ring, boxes[name]) for name, p in sites.parties.items()}
    sent = b"".join([a.seal + a.mask for a in adverts.values()] + [b for by in shared.values() for b in by.values()])
    sent += b"".join(m.tobytes() + c for m, c in masked.values())
    for party in sites.parties.values():
        for seed in (party.seal_seed, party.keys_seed, party.own_seed):
            assert seed not in sent


def test_the_seed_that_is_given_away_of_a_site_that_is_gone_opens_no_box():
    sites = sites_of(3)
    adverts = sites.adverts()
    boxes = sites.server.boxes({name: party.share(adverts) for name, party in sites.parties.items()})
    gone = sites.parties["site 1"]
    known = replace(gone, seal_seed=gone.keys_seed)  # what the server can make of the seed it is given
    assert gone._open("site 0", boxes["site 1"]["site 0"]) is not None
    assert known._open("site 0", boxes["site 1"]["site 0"]) is None


def test_a_site_gives_away_one_kind_of_share_and_only_once():
    sites = sites_of(5)
    survivors = sites.server.survivors(sites.sent())
    asked, agreed = sites.parties["site 0"], sites.agreed(survivors)
    with pytest.raises(RefusedError, match="asked to agree after agree"):
        asked.agree(survivors[1:])
    given = asked.unmask(agreed)
    assert {kind for kind, _ in given.values()} == {"own"}
    with pytest.raises(RefusedError, match="asked to unmask after unmask"):
        asked.unmask(agreed)


def told_otherwise(sites):
    """Return what each site sends under masks and is told of the survivors, by a server that is after site 0.

    Site 0 is masked with sites 1 and 2 only. That it is there three sites are told, and of each of its two mates three
    others that it is gone: nobody gives away both seeds of one site.
    """
    names = list(sites.parties)
    adverts = sites.adverts()
    boxes = sites.server.boxes({name: party.share(adverts) for name, party in sites.parties.items()})
    boxes["site 0"] = {peer: boxes["site 0"][peer] for peer in names[1:3]}
    sent = {name: sites.parties[name].mask(sites.values[name], sites.ring, boxes[name]) for name in names}
    told = [(0, 1, 2), (0, 1, 3, 4), (0, 2, 3, 4), (0, 3, 4), (0, 3, 4)]
    return adverts, sent, {name: [names[i] for i in left] for name, left in zip(names, told, strict=True)}


def test_a_server_that_tells_each_site_something_else_is_given_no_share():
    sites = sites_of(5)
    _, _, told = told_otherwise(sites)
    signed = {name: party.agree(told[name]) for name, party in sites.parties.items()}
    for party in sites.parties.values():
        with pytest.raises(RefusedError, match="sites say that they were told the same of this round; 3 must"):
            party.unmask(signed)


def test_without_the_signatures_of_others_it_would_read_one_site():
    sites = sites_of(5, signed=False)
    adverts, sent, told = told_otherwise(sites)
    for name, party in sites.parties.items():
        party.agree(told[name])
    given = {name: party.unmask({}) for name, party in sites.parties.items()}

    def seed(of, kind):
        came = {i: by[of][1] for i, by in enumerate(given.values(), 1) if of in by and by[of][0] == kind}
        return combined(dict(list(came.items())[:3]))

    plain = sent["site 0"][0] - sites.ring.mask(own_mask_key(seed("site 0", "own"), SESSION), sites.size)
    for mate in ("site 1", "site 2"):
        pair = KeyPair(seed(mate, "keys"), SESSION, "mask").agreed(adverts["site 0"].mask)
        plain = plain - sites.ring.mask(pair, sites.size)
    np.testing.assert_allclose(sites.ring.real(plain), sites.values["site 0"], atol=1e-6)


def test_sites_that_were_told_of_other_keys_do_not_agree():
    sites, other = sites_of(3), Identity.new()
    for party in sites.parties.values():
        party.roster = {**party.roster, "site 3": other.public}
    adverts = {name: party.advertise() for name, party in sites.parties.items()}
    more = {**adverts, "site 3": Party("site 3", SESSION, 2, other).advertise()}
    sites.parties["site 2"].threshold = 3  # above half of four
    for name, party in sites.parties.items():
        party.share(more if name == "site 2" else adverts)
        party.done = "mask"
        party.held = dict.fromkeys(adverts, (b"", b""))
    signed = {name: party.agree(tuple(adverts)) for name, party in sites.parties.items()}
    with pytest.raises(RefusedError, match="1 sites say"):
        sites.parties["site 2"].unmask(signed)
    assert set(sites.parties["site 0"].unmask(signed)) == set(adverts)


def test_a_key_that_nobody_can_agree_with_leaves_its_site_out_and_stops_nobody():
    sites = sites_of(3, signed=False)
    adverts = {name: party.advertise() for name, party in sites.parties.items()}
    adverts["site 1"] = replace(adverts["site 1"], seal=bytes(32))  # of low order: RFC 7748, section 6.1
    assert sorted(sites.server.adverts(adverts)) == ["site 0", "site 2"]
    assert sites.server.refused.counts == {"keys that are none": 1}


def test_a_server_that_tells_two_stories_gets_a_threshold_of_neither():
    """It says to two sites that `site 4` is gone, to the others that it is there; nobody has signed anything."""
    sites = sites_of(5, signed=False)
    everyone = sites.server.survivors(sites.sent())
    without = tuple(name for name in everyone if name != "site 4")
    for i in range(4):
        sites.parties[f"site {i}"].agree(without if i < 2 else everyone)
    told = {f"site {i}": sites.parties[f"site {i}"].unmask({}) for i in range(4)}
    own = [share for given in told.values() for kind, share in [given["site 4"]] if kind == "own"]
    keys = [share for given in told.values() for kind, share in [given["site 4"]] if kind == "keys"]
    assert len(own) < sites.threshold
    assert len(keys) < sites.threshold


@pytest.mark.parametrize("threshold", [1, 2, 6])
def test_a_threshold_of_half_or_less_or_above_all_is_refused(threshold):
    sites = sites_of(5, threshold=threshold)
    adverts = {name: party.advertise() for name, party in sites.parties.items()}
    with pytest.raises(RefusedError, match=f"Of 5 sites {threshold} must be left"):
        sites.parties["site 0"].share(adverts)


def test_a_round_of_one_site_is_refused():
    party = Party("alone", SESSION, 1)
    with pytest.raises(RefusedError, match="The sum of 1 site would be what alone has sent"):
        party.share({"alone": party.advertise()})


@pytest.mark.parametrize(
    "survivors",
    [("site 1", "site 2"), ("site 0",), ("site 0", "site 1", "a stranger")],
    ids=["without me", "too few", "stranger"],
)
def test_survivors_that_cannot_be_are_refused(survivors):
    sites = sites_of(3)
    sites.server.survivors(sites.sent())
    with pytest.raises(RefusedError, match="not those of a round"):
        sites.parties["site 0"].agree(survivors)


def test_keys_a_server_has_put_in_between_are_refused_where_sites_know_each_other():
    identities = {f"site {i}": Identity.new() for i in range(3)}
    roster = {name: one.public for name, one in identities.items()}
    parties = {name: Party(name, SESSION, 2, one, roster) for name, one in identities.items()}
    adverts = {name: party.advertise() for name, party in parties.items()}
    between = Party("site 1", SESSION, 2).advertise()
    parties["site 2"].share(adverts)
    with pytest.raises(RefusedError, match="site 1: keys without the site's signature"):
        parties["site 0"].share({**adverts, "site 1": replace(between, signature=adverts["site 1"].signature)})
    server = SecureSum(SESSION, 2, Ring(3, 4.0), 1, roster)
    assert sorted(server.adverts({**adverts, "site 1": between})) == ["site 0", "site 2"]
    assert server.refused.counts == {"keys without the site's signature": 1}


def test_keys_of_another_round_are_refused():
    identity = Identity.new()
    roster = {"site 0": identity.public, "site 1": (other := Identity.new()).public}
    old = Party("site 1", b"round 0", 2, other, roster).advertise()
    party = Party("site 0", SESSION, 2, identity, roster)
    with pytest.raises(RefusedError, match="without the site's signature"):
        party.share({"site 0": party.advertise(), "site 1": old})


def test_a_box_that_was_changed_on_its_way_is_refused():
    sites = sites_of(3)
    adverts = sites.adverts()
    boxes = sites.server.boxes({name: party.share(adverts) for name, party in sites.parties.items()})
    box = bytearray(boxes["site 0"]["site 1"])
    box[20] ^= 1
    with pytest.raises(RefusedError, match="site 1 was not sealed by it"):
        sites.parties["site 0"].mask(sites.values["site 0"], sites.ring, {**boxes["site 0"], "site 1": bytes(box)})


def test_one_site_that_gives_wrong_shares_is_found_out_and_done_without():
    sites = sites_of(5)
    survivors = sites.server.survivors(sites.sent())
    agreed = sites.agreed(survivors)
    answers = {name: party.unmask(agreed) for name, party in sites.parties.items()}
    answers["site 0"] = {peer: (kind, bytes(16)) for peer, (kind, _) in answers["site 0"].items()}
    np.testing.assert_allclose(sites.server.total(answers), sum(sites.values.values()), atol=1e-5)
    assert sites.server.refused.counts["shares that give no seed back"] >= 5


def test_a_masked_vector_of_another_size_leaves_its_site_out():
    sites = sites_of(4)
    sent = sites.sent()
    sent["site 2"] = (sent["site 2"][0][:-1], sent["site 2"][1])
    survivors = sites.server.survivors(sent)
    agreed = sites.agreed(survivors, survivors)
    total = sites.server.total({name: sites.parties[name].unmask(agreed) for name in survivors})
    np.testing.assert_allclose(total, sum(v for name, v in sites.values.items() if name != "site 2"), atol=1e-5)


def test_a_value_that_is_no_number_is_not_masked():
    with pytest.raises(ValueError, match="no number"):
        Ring(2, 1.0).whole(np.array([np.nan]))


def test_a_site_whose_process_ends_between_two_stages_goes_on():
    sites = sites_of(3)
    again = {name: Party.from_state(party.state()) for name, party in sites.parties.items()}
    adverts = sites.server.adverts({name: party.advertise() for name, party in again.items()})
    again = {name: Party.from_state(party.state()) for name, party in again.items()}
    boxes = sites.server.boxes({name: party.share(adverts) for name, party in again.items()})
    again = {name: Party.from_state(party.state()) for name, party in again.items()}
    sent = {name: party.mask(sites.values[name], sites.ring, boxes[name]) for name, party in again.items()}
    survivors = sites.server.survivors(sent)
    again = {name: Party.from_state(party.state()) for name, party in again.items()}
    agreed = sites.server.agreed({name: party.agree(survivors) for name, party in again.items()})
    again = {name: Party.from_state(party.state()) for name, party in again.items()}
    total = sites.server.total({name: party.unmask(agreed) for name, party in again.items()})
    np.testing.assert_allclose(total, sum(sites.values.values()), atol=1e-5)


def test_a_key_signs_and_nothing_else_what_else_is_secret_comes_from_it_one_way():
    identity = Identity.new()
    assert identity.secret("noise") == Identity(identity.private).secret("noise")
    assert len({identity.private, identity.public, identity.secret("noise"), identity.secret("other")}) == 4


def test_a_ring_that_holds_nothing_is_refused():
    with pytest.raises(ConfigError, match="No ring of 16 bits"):
        Ring(2, 1.0, 16)
