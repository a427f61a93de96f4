"""Rounds, and what goes wrong in them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

from flwr.app import Error, Message

import small_federation
from oddlog.errors import ConfigError, ModelError, UserError
from oddlog.federated import server
from oddlog.federated.checkpoint import NAME
from oddlog.federated.flower import FlowerLink, note_of, packed
from oddlog.federated.local import _not_judged_by as not_judged_by
from oddlog.federated.pooling import GRID
from oddlog.federated.secagg.site import RefusedError
from oddlog.federated.server import Federation, FederationError, Plan
from oddlog.federated.site import OtherVersionError, Site
from oddlog.federated.wire import Note
from oddlog.pipeline.learning.usual import Told
from oddlog.types import Scores, Windows
from small_federation import Sites, local_of

SUMMED = ("begin 0", "learn 1", "calibrate 2")
PLAN = {"rounds": 3, "steps": 30, "tune_steps": 10}


def federation(sites, folder=None, **plan):
    link = FlowerLink(sites.grid, clock=lambda: sites.now, sleep=lambda _s: None)
    return Federation(link, Plan(**{**PLAN, **plan}), folder)


def test_sites_learn_more_together_than_the_untrained_network_knows(sites):
    made = federation(sites)
    history = made.run()
    assert [one.number for one in history] == [0, 1, 2, 3, 4]
    assert set(history[1].counted) == {"site0", "site1", "site2"}
    assert sum(history[1].counted.values()) == pytest.approx(1)
    assert np.mean(list(history[3].utility.values())) > sites.sites["site0"].local.utility(made.initial) + 0.1
    assert set(history[4].kept) == {"site0", "site1", "site2"}
    assert set(history[4].kept.values()) <= {"common", "tuned", "local"}


def test_a_round_knows_bytes_loss_and_quality_of_each_site_where_the_server_sees_them(sites):
    visible, secure = federation(sites).run()[1], federation(Sites(), mode="secagg").run()[1]
    names = ["site0", "site1", "site2"]
    for one in (visible, secure):
        assert sorted(one.bytes) == names
        assert [sum(sent[way] for sent in one.bytes.values()) for way in (0, 1)] == [one.up, one.down]
    assert sorted(visible.loss) == sorted(visible.quality) == sorted(visible.utility) == names
    assert visible.loss["site0"] > 0
    assert (secure.loss, secure.quality, list(secure.utility)) == ({}, {}, ["all"])


def test_a_target_ends_a_federation_before_its_last_round_and_a_higher_one_goes_on_from_there(sites, tmp_path):
    made = federation(sites, tmp_path, rounds=6, target=0.6)
    history = made.run()
    learned = [one.number for one in history if one.number and not one.kept]
    assert learned[-1] < 6
    assert history[learned[-1]].mean_utility >= 0.6
    assert all(one.mean_utility < 0.6 for one in history[1 : learned[-1]])
    assert "has reached the target .600" in made.ended
    longer, whole = federation(Sites(), tmp_path, rounds=6), federation(Sites(), rounds=6)
    longer.run()
    whole.run()
    np.testing.assert_array_equal(longer.weights, whole.weights)


def test_patience_ends_a_federation_that_rises_no_more_also_where_only_sums_are_seen(sites):
    made = federation(sites, mode="secagg", rounds=30, steps=1, patience=2)
    history = made.run()
    found = [one.mean_utility for one in history[1:-1]]
    assert len(found) < 30
    assert max(found[-2:]) <= max(found[:-2])
    assert "in 2 rounds" in made.ended


def test_the_same_seed_gives_the_same_weights(sites):
    one, other = federation(sites), federation(Sites())
    one.run()
    other.run()
    np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize("signed", [False, True])
def test_secure_sums_give_the_weights_of_visible_updates(sites, signed):
    visible, secure = federation(sites), federation(Sites(signed=signed), mode="secagg")
    visible.run()
    history = secure.run()
    np.testing.assert_allclose(secure.weights, visible.weights, atol=1e-5)
    np.testing.assert_allclose(secure.everyone, visible.everyone, atol=1e-5)
    assert all(np.isnan(value) for value in history[1].counted.values())
    assert history[1].quality == {}


AFTER = ("query.agree", "query.unmask")  # stages at which an update has been sent


@pytest.mark.parametrize("stage", ["query.advertise", "query.share", "train.learn", "query.agree", "query.unmask"])
def test_two_of_five_gone_at_a_stage_of_the_secure_sum_leave_the_mean_of_the_others(five, stage):
    def fate(name, kind, answer):
        return None if kind == stage and name in {"site1", "site3"} else answer

    other = Sites(5)
    five.fate = lambda name, kind, answer: answer if rounds_begun(five) < 1 else fate(name, kind, answer)
    other.fate = lambda name, kind, answer: (
        None if kind == "train.learn" and name in {"site1", "site3"} and stage not in AFTER else answer
    )
    secure, plain = federation(five, mode="secagg", rounds=1), federation(other, rounds=1)
    history = secure.run()
    plain.run()
    np.testing.assert_allclose(secure.weights, plain.weights, atol=1e-5)
    assert set(history[1].dropped) == {"site1", "site3"}
    assert history[1].dropped["site1"] == f"{stage.split('.')[1]}: no answer in 600 s"


def rounds_begun(sites):
    """How many rounds of learning have asked for keys: the first secure sum is that of round 0."""
    asked = [kind for _, message, _ in sites.sent if (kind := message.metadata.message_type) == "query.unmask"]
    return 1 if len(asked) >= 5 else 0


def test_a_site_that_dies_is_named_and_takes_part_again_when_it_is_back(sites):
    answered = []

    def fate(name, kind, answer):
        answered.append(kind)
        return None if name == "site1" and kind == "train.learn" and answered.count("train.learn") == 2 else answer

    sites.fate = fate
    history = federation(sites).run()
    assert history[1].dropped == {"site1": "learn: no answer in 600 s"}
    assert set(history[1].counted) == {"site0", "site2"}
    assert set(history[2].counted) == {"site0", "site1", "site2"}


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_a_site_that_was_not_there_at_the_beginning_joins_later_and_gets_the_network_of_all(sites, mode):
    gone = sites.grid.contexts.pop(102)
    made = federation(sites, mode=mode, rounds=4)

    def after(federation):
        if len(federation.history) == 3:
            sites.grid.contexts[102] = gone

    made.after = after
    history = made.run()
    assert [sorted(one.counted) for one in history[:3]] == [["site0", "site1"]] * 3
    assert history[3].joined == ["site2"]
    assert [sorted(one.counted) for one in history[3:]] == [["site0", "site1", "site2"]] * 3
    assert set(history[-1].kept) == {"site0", "site1", "site2"}
    assert "site2 has joined" in history[3].says()
    own = [sites.sites[f"site{i}"].local.histogram().sum() for i in (0, 1)]
    assert made.everyone[:64].sum() == pytest.approx(sum(own), rel=1e-4)  # its windows are not among those of round 0


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_a_large_site_that_joins_late_is_no_stranger_to_sites_like_it(mode, monkeypatch):
    monkeypatch.setattr(small_federation, "TEXTS", small_federation.TEXTS[:1])
    near, share = [], []
    for late in (False, True):
        sites = Sites()
        site = sites.sites["site2"]
        site.make = partial(small_federation.local_of, 2, 900)
        gone = sites.grid.contexts.pop(102) if late else None
        made = federation(sites, mode=mode, tune_steps=0, weigh="data")
        weight = site._weight
        site._weight = lambda quality, facts, weight=weight: share.append(quality.share) or weight(quality, facts)

        def after(federation, sites=sites, gone=gone):
            if gone is not None and len(federation.history) == 2:
                sites.grid.contexts[102] = gone

        made.after = after
        history = made.run()
        assert history[-1].kept["site2"] == "common"
        assert "site2/local" not in history[-1].utility  # it is not taken for a stranger
        near.append(site.local.pool.closeness)
        if mode == "visible":
            share.append(history[-2].counted["site2"])
    assert near[1] == pytest.approx(near[0], abs=0.01)
    assert near[1] > 0.9
    assert len(share) >= 2
    assert share == pytest.approx([900 / 1300] * len(share), abs=0.01)


def test_a_site_that_was_left_out_is_not_asked_again_in_every_round(sites):
    sites.sites["site2"].initial = sites.sites["site2"].local.vector + 1
    federation(sites, rounds=5).run()
    asked = [message.metadata.message_type for name, message, _ in sites.sent if name == "site2"]
    assert asked == ["query.join", "query.leave"] * 3


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_a_late_site_joins_a_server_that_was_begun_again_in_the_meantime(tmp_path, mode):
    sites = Sites(signed=True)
    gone = sites.grid.contexts.pop(102)
    federation(sites, tmp_path, rounds=2, mode=mode).run()
    sites.grid.contexts[102] = gone
    made = federation(sites, tmp_path, rounds=4, mode=mode)
    history = made.run()
    assert [one.failed for one in history] == [""] * 6
    assert [sorted(one.counted) for one in history[2:4]] == [["site0", "site1"], ["site0", "site1", "site2"]]


@pytest.mark.parametrize(
    ("kind", "note", "mode"),
    [
        ("query.join", Note({"site": "site0"}), "visible"),
        ("query.join", Note({"site": 1, "key": "", "protocol": 1, "sums": 10**15}), "visible"),
        ("query.begin", Note({}, {"sums": np.array(["x"]).view(np.uint8)}), "visible"),
        ("train.learn", Note({"round": "1"}, {"update": np.zeros(90, np.float32)}), "visible"),
        ("train.learn", Note({"round": 1, "utility": "high"}, {"update": np.zeros(90, np.float32)}), "visible"),
        ("train.learn", Note({"round": 1}), "secagg"),
        ("query.advertise", Note({}, {"seal": np.zeros(3, np.uint8)}), "secagg"),
        ("query.share", Note({}, {"site1": np.zeros(3, np.float32)}), "secagg"),
        ("query.calibrate", Note({}), "visible"),
        ("query.agree", Note({"signature": "yes"}), "secagg"),
        ("query.unmask", Note({"kinds": {"site1": "own"}}), "secagg"),
        ("train.finish", Note({}), "visible"),
        ("train.finish", Note({"kept": "common", "utility": [1.0]}), "visible"),
        ("train.finish", Note({"kept": "common", "utility": {"common": 9.0}}), "visible"),
    ],
)
def test_an_answer_that_lacks_what_it_must_hold_is_refused_by_name_and_the_others_go_on(sites, kind, note, mode):
    def fate(name, of, answer):
        return packed(note, answer_to(sites)) if name == "site0" and of == kind else answer

    sites.fate = fate
    history = federation(sites, mode=mode, threshold=2).run()
    assert any("an answer that is none" in why for one in history for why in one.dropped.values())
    assert {"site1", "site2"} <= set(history[-1].kept)


def test_an_answer_larger_than_what_was_asked_for_is_not_unpacked(sites):
    def fate(name, kind, answer):
        if name != "site0" or kind != "train.learn":
            return answer
        return packed(Note({"round": 1}, {"update": np.zeros(1 << 20, np.float32)}), answer_to(sites))

    sites.fate = fate
    history = federation(sites).run()
    assert history[1].dropped["site0"].startswith("learn: an answer of 4,194,")
    assert history[1].dropped["site0"].endswith("bytes, 78,544 are allowed")
    assert history[1].refused == {}


def test_a_slow_site_misses_the_deadline_and_the_round_goes_on(sites):
    def fate(name, kind, answer):
        sites.now += 60 if name == "site2" and kind == "train.learn" else 1
        return answer

    sites.fate = fate
    history = federation(sites, deadline_s=30).run()
    assert history[1].dropped == {"site2": "learn: no answer in 30 s"}
    assert set(history[3].counted) == {"site0", "site1"}


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (np.float32([np.nan] * 90), "update with values that are no numbers"),
        (np.zeros(7, np.float32), "update of the wrong shape"),
        (np.full(90, 1e6, np.float32), "update too long"),
    ],
)
def test_a_bad_update_is_refused_by_name_and_the_round_goes_on(sites, update, reason):
    def fate(name, kind, answer):
        if name != "site0" or kind != "train.learn":
            return answer
        note = note_of(answer)
        answer.content = packed(Note(note.facts, {"update": update}), answer).content
        return answer

    sites.fate = fate
    history = federation(sites).run()
    assert history[1].dropped == {"site0": reason}
    assert history[1].refused == {reason: 1}
    assert np.isfinite(federation_weights(sites)).all()


def federation_weights(sites):
    return sites.sites["site1"].local.vector


def saying(facts):
    def fate(name, kind, answer):
        if name == "site0" and kind == "train.learn":
            note = note_of(answer)
            answer.content = packed(Note({**note.facts, **facts}, note.arrays), answer).content
        return answer

    return fate


@pytest.mark.parametrize(
    "said",
    [{"utility": "inf"}, {"utility": "0.5"}, {"utility": -5.0}, {"utility": 1e9}, {"utility": True}, {"loss": "1.0"}],
    ids=str,
)
def test_a_utility_that_is_none_is_refused_and_the_network_stays_one(sites, said):
    sites.fate = saying(said)
    made = federation(sites, rounds=1)
    history = made.run()
    assert history[1].dropped == {"site0": "learn: an answer that is none"}
    assert np.isfinite(made.weights).all()


@pytest.mark.parametrize("weigh", ["data", "quality"])
def test_what_a_site_says_of_its_share_changes_nothing_the_server_has_counted_it(sites, weigh):
    lying = federation(sites, weigh=weigh)
    honest = federation(Sites(), weigh=weigh)
    sites.fate = saying({"share": 1e9, "closeness": 50.0, "divergence": "inf"})
    assert [one.counted for one in lying.run()[1:4]] == [one.counted for one in honest.run()[1:4]]
    np.testing.assert_array_equal(lying.weights, honest.weights)


def test_a_histogram_without_end_is_none(sites):
    def fate(name, kind, answer):
        if name != "site0" or kind != "query.begin":
            return answer
        return packed(Note({"round": 0}, {"sums": np.full(64, 1e300)}), answer_to(sites))

    sites.fate = fate
    made = federation(sites, rounds=1)
    history = made.run()
    assert history[0].dropped == history[1].dropped == {"site0": "sums that are none"}
    assert set(history[1].counted) == {"site1", "site2"}
    assert made.everyone.sum() < 1e6


def test_counts_of_scores_without_end_are_none(sites):
    def fate(name, kind, answer):
        if name != "site0" or kind != "query.calibrate":
            return answer
        return packed(Note({}, {"count": np.full(GRID, 1e308)}), answer_to(sites))

    sites.fate = fate
    history = federation(sites, rounds=1).run()
    assert history[-1].dropped == {"site0": "counts that are none"}
    assert {note_of(asked).arrays["pool"].sum() for _, asked, _ in sites.sent[-3:]} == {120}  # of two sites


def test_updates_that_come_to_no_network_teach_nothing(sites, monkeypatch):
    monkeypatch.setattr(server, "combined", lambda *_args: np.full(90, 1e300))
    made = federation(sites, rounds=1)
    history = made.run()
    assert history[1].failed == "what the updates came to is no network"
    np.testing.assert_array_equal(made.weights, made.initial)


def test_an_answer_of_an_earlier_round_is_refused(sites):
    first = {}

    def fate(name, kind, answer):
        if name == "site0" and kind == "train.learn":
            answer.content = first.setdefault("content", answer.content)
        return answer

    sites.fate = fate
    history = federation(sites).run()
    assert history[1].dropped == {}
    assert history[2].dropped == {"site0": "update of round before"}


def test_an_answer_that_is_no_note_and_an_error_of_flower_are_refused(sites):
    def fate(name, kind, answer):
        if kind != "train.learn" or name == "site2":
            return answer
        if name == "site0":
            answer.content["oddlog"]["note"] = b"????"
            return answer
        return Message(Error(code=4, reason="secret"), reply_to=answer_to(sites))

    sites.fate = fate
    with pytest.raises(FederationError, match="Nothing was learned in 3 rounds"):
        federation(sites).run()


def answer_to(sites):
    return sites.sent[-1][1]


def test_a_site_that_fails_sends_the_kind_of_its_error_and_not_what_it_says(sites, caplog):
    def broken(*_args, **_options):
        raise ValueError("user alice has no password")

    sites.sites["site1"].local.trained = broken
    history = federation(sites).run()
    assert history[1].dropped == {"site1": "learn: refused by the site (ValueError)"}
    assert not any(b"alice" in note_of(answer).written() for _, _, answer in sites.sent)
    assert "train" in caplog.text or "learn failed" in caplog.text


class KilledError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("mode", ["visible", "secagg"])
@pytest.mark.parametrize("at", [2, 5, 8])
def test_a_server_killed_at_any_moment_goes_on_to_the_same_bits(tmp_path, mode, at):
    whole = federation(Sites(), tmp_path / "whole", mode=mode)
    whole.run()
    sites = Sites()
    came = []

    def fate(_name, kind, answer):
        came.append(kind)
        if kind == "train.learn" and came.count("train.learn") == at:
            raise KilledError
        return answer

    sites.fate = fate
    with pytest.raises(KilledError):
        federation(sites, tmp_path / "killed", mode=mode).run()
    again = federation(sites, tmp_path / "killed", mode=mode)
    again.run()
    np.testing.assert_array_equal(again.weights, whole.weights)
    assert [one.number for one in again.history] == [0, 1, 2, 3, 4]


def test_a_quantised_round_that_is_asked_for_again_is_answered_alike(tmp_path):
    whole = federation(Sites(), bits=4)
    whole.run()
    sites, came = Sites(), []

    def fate(_name, kind, answer):
        came.append(kind)
        if kind == "train.learn" and came.count("train.learn") == 5:
            raise KilledError
        return answer

    sites.fate = fate
    with pytest.raises(KilledError):
        federation(sites, tmp_path, bits=4).run()
    again = federation(sites, tmp_path, bits=4)
    again.run()
    np.testing.assert_array_equal(again.weights, whole.weights)


def test_quantised_updates_are_an_eighth_and_learn_as_much(sites):
    plain, short = federation(sites), federation(Sites(), bits=4)
    history, few = plain.run(), short.run()
    assert np.mean(list(few[3].utility.values())) > np.mean(list(history[3].utility.values())) - 0.05


def test_a_checkpoint_of_another_plan_or_a_damaged_one_is_told(sites, tmp_path):
    federation(sites, tmp_path).run()
    with pytest.raises(ConfigError, match=r"another plan \(steps 30\)"):
        federation(Sites(), tmp_path, steps=31).run()
    (tmp_path / NAME).write_bytes(b"cut off")
    with pytest.raises(ModelError, match="is damaged"):
        federation(Sites(), tmp_path).run()


def test_more_rounds_go_on_from_a_federation_that_ended(tmp_path):
    federation(Sites(), tmp_path).run()
    longer, whole = federation(Sites(), tmp_path, rounds=5), federation(Sites(), rounds=5)
    longer.run()
    whole.run()
    np.testing.assert_array_equal(longer.weights, whole.weights)


def test_a_second_site_of_the_same_name_is_left_out(sites):
    sites.sites["site2"].name = "site1"
    history = federation(sites).run()
    assert list(history[0].dropped.values()) == ["the identity of another site"]
    assert set(history[1].counted) == {"site0", "site1"}


def test_a_site_with_another_network_is_left_out(sites):
    sites.sites["site2"].initial = sites.sites["site2"].local.vector + 1
    history = federation(sites).run()
    assert history[0].dropped == {"site2": "another network"}
    assert "The server has left site2 out: another network. Give --detector and --seed" in str(
        sites.sites["site2"].ends
    )
    assert sites.sites["site0"].ends is None


def test_a_site_that_was_left_out_may_come_again_otherwise(sites):
    kept, sites.sites["site2"].initial = sites.sites["site2"].local.vector, sites.sites["site2"].local.vector + 1
    made = federation(sites)

    def after(_federation):
        sites.sites["site2"].initial = kept  # begun again, with the seed of the others

    made.after = after
    history = made.run()
    assert history[0].dropped == {"site2": "another network"}
    assert history[1].joined == ["site2"]
    assert history[1].dropped == {}


def test_a_site_of_another_version_ends_with_what_to_do(sites):
    site = sites.sites["site0"]
    with pytest.raises(OtherVersionError, match=r"speaks protocol 1, this site \d+\. Install one version of oddlog"):
        site.answer("join", Note({"protocol": 1, "federation": "f"}))
    assert isinstance(site.ends, UserError)  # exit 2


def test_a_site_without_the_shared_secret_is_named_and_gets_the_common_network_all_the_same(sites):
    for name in ("site0", "site1"):
        sites.sites[name].shared = b"s" * 32
    history = federation(sites, patterns=True, rounds=1).run()
    assert history[-1].dropped == {"site2": "patterns: it was given no shared secret"}
    assert set(history[-1].kept) == {"site0", "site1", "site2"}
    assert "snn" in sites.sites["site0"].local.together
    assert sites.sites["site2"].local.together == {}


def test_one_site_alone_is_no_federation():
    with pytest.raises(FederationError, match="1 sites can learn together, at least 2 must"):
        federation(Sites(1)).run()


def test_below_the_threshold_a_secure_round_fails_and_the_federation_says_why(sites):
    sites.fate = lambda name, kind, answer: None if kind == "train.learn" and name != "site0" else answer
    with pytest.raises(FederationError, match="1 sites are left after 'mask'"):
        federation(sites, mode="secagg").run()


def test_a_round_that_was_summed_is_not_summed_again_for_fewer_sites(sites):
    federation(sites, mode="secagg", rounds=1).run()
    site = sites.sites["site0"]
    session = next(iter(site.parties.party))  # the last one, whatever round the server says that it was
    with pytest.raises(
        RefusedError, match="'calibrate 2' was summed for other sites before; the difference would show"
    ):
        site.answer("agree", Note({"session": session, "round": 99, "survivors": ["site0", "site1"]}))
    again = Site("site0", site.make)
    again.recall(Note.read(site.state().written()))
    assert again.parties.summed == site.parties.summed == {f"{what}": ("site0", "site1", "site2") for what in SUMMED}
    again.answer("advertise", Note({"session": "ab", "threshold": 2}))
    with pytest.raises(RefusedError, match="sent nothing in"):
        again.answer("agree", Note({"session": "ab", "round": 1, "survivors": ["site0", "site1"]}))


@pytest.mark.parametrize(
    ("kind", "number"), [("begin", 1), ("learn", 0), ("learn", 2), ("calibrate", 0), ("calibrate", 3)]
)
def test_what_is_asked_under_another_round_to_be_summed_again_is_refused(sites, kind, number):
    made = federation(sites, rounds=1)
    made.run()
    asked = Note({**made.plan.facts(), "round": number}, {"weights": made.weights, "everyone": made.everyone})
    with pytest.raises(RefusedError, match=f"There is no round {number}"):
        sites.sites["site0"].answer(kind, asked)


def test_a_new_federation_of_other_sites_is_no_repetition_of_the_one_before(sites):
    federation(sites, mode="secagg", rounds=1).run()
    gone = sites.grid.contexts.popitem()
    again = federation(sites, mode="secagg", rounds=1)
    history = again.run()
    assert list(history[1].counted) == ["site0", "site1"]
    assert gone[1].node_config["site"] == "site2"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"mode": "visibel"}, "Did you mean 'visible'"),
        ({"mode": "secagg", "rule": "median"}, "'rule: median' cannot be"),
        ({"mode": "secagg", "bits": 8}, "'bits: 8' cannot be"),
        ({"rounds": 0}, "0 rounds of 30 steps with a decay of 300 teach nothing"),
        ({"bits": 3}, "not written in 3 bits"),
        ({"temperature": -1.0}, "temperature of -1.0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_told_before_anyone_is_asked(sites, plan, said):
    with pytest.raises(ConfigError, match=said):
        federation(sites, **plan).run()
    assert sites.sent == []


def test_one_of_five_that_turns_its_update_round_moves_the_median_little(five):
    def fate(name, kind, answer):
        if name != "site4" or kind != "train.learn":
            return answer
        note = note_of(answer)
        answer.content = packed(Note(note.facts, {"update": -3 * note.arrays["update"]}), answer).content
        return answer

    honest = federation(Sites(5), rule="median")
    honest.run()
    five.fate = fate
    attacked = federation(five, rule="median")
    attacked.run()
    other = Sites(5)
    other.fate = fate
    mean, plain = federation(other), federation(Sites(5))
    mean.run()
    plain.run()
    off = [np.abs(a.weights - b.weights).mean() for a, b in ((attacked, honest), (mean, plain))]
    assert off[0] < off[1] / 2


def test_the_f1_that_a_site_tells_is_by_a_threshold_of_other_windows_than_are_counted():
    local = local_of(0, 400)
    usual = Windows.concat([local.learned, local.judged, local.held])
    whole = Told(Windows.concat([usual, local.held.take(np.arange(10))]), np.repeat([0, 1], [400, 10]).astype(np.int8))
    local.told = told = not_judged_by(whole, local.held)
    assert int((told.label == 0).sum()) == len(local.held)
    scored = {len(local.judged): np.ones(60), len(told.windows): np.where(told.label == 1, 5.0, 10.0)}
    local.detector.score = lambda windows: Scores(scored[len(windows)], np.zeros(len(windows.template), np.float32))
    assert local.f1(local.vector) == pytest.approx(2 * 10 / (len(local.held) + 10 + 10))  # each of them a false alarm
