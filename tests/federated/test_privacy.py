"""Differential privacy: how much noise, and that nothing is told without it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("opacus", reason="extra 'federated'")
pytest.importorskip("torch", reason="extra 'train'")

import torch
from flwr.app import ConfigRecord, Message, RecordDict
from opacus.grad_sample import GradSampleModule

import small_federation
from oddlog import testing
from oddlog.detectors.deep import denoising, private
from oddlog.detectors.spoken import SpokenAutoencoder
from oddlog.errors import ConfigError, UserError
from oddlog.federated import running, server
from oddlog.federated.flower import NOTE, RECORD, TYPES, FlowerLink, note_of, packed
from oddlog.federated.identity import SiteKey
from oddlog.federated.local import Local
from oddlog.federated.noise import Noise
from oddlog.federated.pooling import COARSE, GRID, blurred, counted, tail_of, without_noise
from oddlog.federated.privacy import (
    Bound,
    Privacy,
    TooLittlePrivacyError,
    Veil,
    least_noise,
    require_hidden,
    spent,
)
from oddlog.federated.secagg.site import RefusedError
from oddlog.federated.server import Federation, FederationError, Plan
from oddlog.federated.site import Site
from oddlog.federated.wire import Note
from oddlog.types import OVERFLOW
from small_federation import Sites, local_of

PROMISE = Privacy(8.0, 1e-5, 60, 0.3)
HIDDEN = {"weigh": "data", "epsilon": 8.0}


@pytest.fixture(autouse=True)
def one_system(monkeypatch):
    monkeypatch.setattr(small_federation, "TEXTS", small_federation.TEXTS[:1])


def spoken_sites(n=3, **options):
    made = Sites(n, **options)
    for i, site in enumerate(made.sites.values()):
        fake = local_of(i)
        windows = testing.usual_windows(200, seed=10 + i)
        site.make = lambda windows=windows, fake=fake: Local.of_windows(windows, fake.context, "spoken")
    return made


def run(sites, **plan):
    link = FlowerLink(sites.grid, clock=lambda: sites.now, sleep=lambda _s: None)
    made = Federation(link, Plan(**{"rounds": 2, "steps": 5, **plan}))
    return made, made.run()


def test_one_sum_costs_what_the_gaussian_mechanism_is_known_to_cost():
    # Mironov 2017, table II: Rényi divergence alpha / (2 sigma²); its best order gives an upper bound of the exact cost
    assert 4.0 < spent([(1.0, 1.0, 1)], 1e-5) < 5.3
    assert spent([(2.0, 1.0, 4)], 1e-5) == pytest.approx(spent([(1.0, 1.0, 1)], 1e-5), rel=0.01)
    assert spent([], 1e-5) == 0


class Bare(Veil):
    """Hides nothing, and remembers what it was to hide and how much noise that was to get."""

    def hidden(self, asked, values, noise, *_of):
        self.seen[asked] = values.copy(), noise
        return values


def said_of(local, monkeypatch, promise):
    """What a site says before noise: histogram, scores, and the sum of gradients of a step that every window is in."""
    local.veil = Bare(promise, b"secret")
    local.veil.seen = {}
    local.detector.noise = 0.0  # what is restored is drawn for each window; the same for those that stay
    local.set_sums(np.zeros(64))
    begun = local.vector
    local.histogram()
    local.counted(begun)
    steps, added = [], private.noised

    def noised(summed, guard):
        steps.append((torch.cat([one.flatten() for one in summed.values()]), added(summed, guard), guard))
        return added(summed, guard)

    with monkeypatch.context() as patched:
        patched.setattr(private, "noised", noised)
        local.trained(begun, 1, 0)
    local.set_vector(begun)
    return local.veil.seen, steps[0]


@pytest.mark.parametrize("epsilon", [8.0, 1.0])
def test_a_window_that_is_there_or_not_costs_no_more_than_was_promised_by_what_it_really_changes(epsilon, monkeypatch):
    promise = Privacy(epsilon, 1e-5, 60, 0.01)
    windows, context = testing.usual_windows(120, seed=3), local_of(0).context
    whole = Local.of_windows(windows, context, "spoken")
    seen, (gradient, hidden, guard) = said_of(whole, monkeypatch, promise)
    moved = {"histogram": 0.0, "scores": 0.0, "gradient": 0.0}
    for i in range(0, 18, 3):
        part = np.delete(np.arange(len(whole.learned)), i), np.delete(np.arange(len(whole.held)), i)
        other = replace(whole, learned=whole.learned.take(part[0]), held=whole.held.take(part[1]))
        there, (without, _, _) = said_of(other, monkeypatch, promise)
        for name in ("histogram", "scores"):
            moved[name] = max(moved[name], float(np.linalg.norm(seen[name][0] - there[name][0])))
        moved["gradient"] = max(moved["gradient"], float((gradient - without).norm()))
    assert all(value > 0 for value in moved.values())
    noise = torch.cat([one.flatten() for one in hidden.values()]) - gradient.double()
    multiple = float(noise.std()) / moved["gradient"]
    assert moved["gradient"] == pytest.approx(0.01, rel=1e-3)  # windows are cut, so that this is the most
    assert guard.rate == 1  # as many as there are fit into a step
    histogram = seen["histogram"][1] / moved["histogram"]
    assert spent([(histogram, 1.0, 1), (multiple, 1.0, 60)], 1e-5) <= epsilon * 1.02
    assert spent([(seen["scores"][1] / moved["scores"], 1.0, 1)], 1e-5) <= epsilon
    assert moved["scores"] == pytest.approx(1)
    assert moved["histogram"] <= 1 + 1e-9


@pytest.mark.parametrize("epsilon", [8.0, 1.0])
@pytest.mark.parametrize("windows", [40, 3_000])
def test_noise_is_no_larger_than_the_promise_takes(epsilon, windows):
    promise = Privacy(epsilon, 1e-5, 60, 0.3)
    noise, rate = promise.of_training(windows)
    assert 0.9 * epsilon < spent([(promise.of_histogram, 1.0, 1), (noise, rate, 60)], 1e-5) <= epsilon
    assert 0.9 * epsilon < spent([(promise.of_scores, 1.0, 1)], 1e-5) <= epsilon


def test_training_goes_by_how_many_windows_the_noise_lets_see():
    local = Local.of_windows(testing.usual_windows(400), local_of(0).context, "spoken")
    asked = []
    local.detector.train_privately = lambda _windows, _steps, hidden: asked.append(hidden)
    for secret in (b"one", b"other"):
        local.veil = Veil(PROMISE, secret)
        local.trained(local.vector, 5, 0)
    assert asked[0]["expected"] != asked[1]["expected"]
    assert 0.5 < asked[0]["expected"] / asked[1]["expected"] < 2


def test_noise_is_normal_and_every_bit_of_its_key_counts():
    drawn = Noise(bytes(32)).normal((1_001, 999))
    assert abs(drawn.mean()) < 0.004
    assert drawn.std() == pytest.approx(1, abs=0.003)
    assert (drawn**4).mean() == pytest.approx(3, abs=0.05)
    assert (np.abs(drawn) > 3).mean() == pytest.approx(0.0027, abs=3e-4)
    flat = Noise(b"k" * 32).uniform(100_000)
    assert 0 <= flat.min() < 1e-4 < 1 - 1e-4 < flat.max() < 1
    first = [Noise((1 << bit).to_bytes(32, "little")).uniform(1)[0] for bit in range(256)]
    assert len(set(first)) == 256
    with pytest.raises(ValueError, match="a key of 4 bytes"):
        Noise(b"weak")


def test_updates_differ_where_keys_differ_beyond_their_first_32_bits():
    windows = testing.usual_windows(100)
    made = []
    for key in (b"same" + bytes(28), b"same" + bytes(28), b"same" + bytes(27) + b"x"):
        detector = SpokenAutoencoder(seed=0)
        detector.prepare(windows, testing.context())
        detector.set_sums(detector.public_sums())
        hidden = {"rate": 0.5, "clip": 0.1, "noise": 3.0, "expected": 50.0, "draw": Noise(key)}
        detector.train_privately(windows, 2, hidden)
        made.append(detector.get_weights()["w0"])
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert np.abs(made[0] - made[2]).max() > 1e-3


def test_more_noise_for_less_epsilon_and_words_where_none_is_enough():
    assert Privacy(1.0, 1e-5, 60, 0.3).of_scores > Privacy(8.0, 1e-5, 60, 0.3).of_scores
    with pytest.raises(ConfigError, match="No noise makes so many steps"):
        least_noise(1e-12, 1e-5, lambda noise: [(noise, 1.0, 10**9)])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"epsilon": -1.0}, "promises nothing"),
        ({"epsilon": 8.0, "delta": 2.0}, "is no chance"),
        ({"epsilon": 0.03}, "costs 0.033 at least, however much noise there is. Write an epsilon of 0.04 or more"),
        ({"epsilon": 0.08, "delta": 1e-8}, "costs 0.088 at least"),
        ({"epsilon": 8.0, "clip": 0.0}, "cannot be cut"),
        ({"epsilon": 8.0, "weigh": "quality"}, "'weigh: quality' no noise hides"),
        ({"epsilon": 8.0, "tune_steps": 10}, "'tune_steps: 10' no noise hides"),
    ],
)
def test_a_plan_that_promises_nothing_is_refused_in_words(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Plan(**{"weigh": "data", **wrong}).checked()


@pytest.mark.parametrize("epsilon", [0.04, 0.1, 0.3])
def test_a_small_epsilon_that_can_be_kept_to_is_promised(epsilon):
    promise = Plan(weigh="data", epsilon=epsilon).checked().privacy
    noise, rate = promise.of_training(3_000)
    assert spent([(promise.of_histogram, 1.0, 1), (noise, rate, 1_000)], 1e-5) <= epsilon
    assert promise.of_histogram > 40


def test_gradients_are_those_of_opacus_and_each_is_cut_to_one_length():
    recipe = denoising.Recipe((6, 3, 6), 1, 1e-3, 1e-3, 0.1, 8, 0)
    begin = denoising.initial(5, recipe)
    clean = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32))
    noisy = clean + 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Opacus' hooks, of PyTorch
        model = GradSampleModule(denoising.network(begin), loss_reduction="sum")
        ((model(noisy) - clean) ** 2).mean(1).sum().backward()
    each = [p.grad_sample.flatten(1) for p in model.parameters()]
    expected = torch.cat(each, 1).norm(dim=1)
    weights = {name: torch.from_numpy(value).requires_grad_() for name, value in begin.items()}
    summed, length = private.clipped_sum(weights, noisy, clean, 0.2)
    torch.testing.assert_close(length, expected)
    share = (0.2 / expected).clamp(max=1)
    for i, layer in enumerate(m for m in model._module if isinstance(m, torch.nn.Linear)):
        torch.testing.assert_close(summed[f"w{i}"], (layer.weight.grad_sample * share[:, None, None]).sum(0).T)
        torch.testing.assert_close(summed[f"b{i}"], (layer.bias.grad_sample * share[:, None]).sum(0))
    alone, _ = private.clipped_sum(weights, noisy[:1], clean[:1], 0.2)
    assert torch.cat([part.flatten() for part in alone.values()]).norm() <= 0.2 + 1e-6


def test_noise_is_the_same_where_the_same_is_asked_and_a_round_is_answered_once():
    veil = Veil(PROMISE, b"secret", "f")
    weights, others = np.zeros(3, np.float32), np.ones(3, np.float32)
    first = veil.noise("update 1", weights).uniform(4).tolist()
    assert veil.noise("update 1", weights).uniform(4).tolist() == first
    assert veil.noise("update 2", weights).uniform(4).tolist() != first
    assert Veil(PROMISE, b"another", "f").noise("update 1", weights).uniform(4).tolist() != first
    assert Veil(PROMISE, b"secret", "g").noise("update 1", weights).uniform(4).tolist() != first
    with pytest.raises(ConfigError, match="answered before, for other weights or windows"):
        veil.noise("update 1", others)


def test_a_site_whose_logs_have_grown_since_does_not_say_their_difference():
    veil = Veil(PROMISE, b"secret", "f")
    before = veil.hidden("histogram", np.array([3.0, 4.0]), 1.0)
    assert (veil.hidden("histogram", np.array([3.0, 4.0]), 1.0) == before).all()
    with pytest.raises(ConfigError, match="answered before"):
        veil.hidden("histogram", np.array([3.0, 5.0]), 1.0)


def test_without_noise_private_training_learns_what_is_usual():
    windows = testing.usual_windows(300)
    made = SpokenAutoencoder(seed=0)
    made.prepare(windows, testing.context())
    made.set_sums(made.public_sums())
    before = made.score(windows).window.mean()
    made.train_privately(
        windows, 300, {"rate": 0.3, "clip": 10.0, "noise": 0.0, "expected": 90.0, "draw": Noise(bytes(32))}
    )
    assert made.score(windows).window.mean() < 0.3 * before


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_sites_learn_behind_noise_and_tell_no_moments_no_utility_and_no_exact_count(mode):
    sites, plain = spoken_sites(signed=True), spoken_sites(signed=True)
    made, history = run(sites, mode=mode, **HIDDEN)
    other, _ = run(plain, mode=mode, weigh="data")
    assert not made.everyone[64:].any()
    assert np.abs(made.everyone[:64] - other.everyone[:64]).max() > 0.5
    assert set(history[1].utility.values()) <= {0.5} | {v for v in history[1].utility.values() if abs(v - 0.5) < 1e-5}
    assert set(history[-1].kept.values()) == {"not told"}
    one = sites.sites["site0"].local
    assert one.pool.n_usual != plain.sites["site0"].local.pool.n_usual
    assert np.isfinite(made.weights).all()


def test_the_same_secrets_give_the_same_updates_and_others_do_not(monkeypatch):
    one, again, other = spoken_sites(signed=True), spoken_sites(signed=True), spoken_sites(signed=True)
    for name, site in again.sites.items():
        site.identity, site.roster = one.sites[name].identity, one.sites[name].roster
    monkeypatch.setattr(server.os, "urandom", bytes)  # the federation's name
    first, second, third = (run(sites, **HIDDEN)[0] for sites in (one, again, other))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert np.abs(first.weights - third.weights).max() > 1e-3


def test_no_site_is_refused_for_where_its_noise_points():
    def fate(name, kind, answer):
        if (name, kind) == ("site2", "train.learn"):  # honest ones are at right angles to the others, to a hundredth
            note = note_of(answer)
            turned = {"update": -note.arrays["update"]}
            answer.content = packed(Note(note.facts, turned), answer).content
        return answer

    sites = spoken_sites(5)
    sites.fate = fate
    _, history = run(sites, rounds=1, **{**HIDDEN, "epsilon": 1.0})
    assert [one.dropped for one in history] == [{}] * 3


def test_a_server_that_forgets_what_was_promised_is_refused():
    sites = spoken_sites()
    made, _ = run(sites, **HIDDEN)
    site = next(iter(sites.sites.values()))
    facts = {**replace(made.plan, epsilon=0.0).facts(), "round": 2}
    with pytest.raises(RefusedError, match="promised another privacy"):
        site.answer("learn", Note(facts, {"weights": made.weights, "everyone": made.everyone}))


def asked(made, kind="learn", **facts):
    said = {**made.plan.facts(), "round": 1, "norm": 8.0, **facts}
    return kind, Note(said, {"weights": made.weights, "everyone": made.everyone})


def begun(**plan):
    """A site that has been promised two rounds of five steps, and its server."""
    sites = spoken_sites(2)
    made, _ = run(sites, **HIDDEN, **plan)
    site = sites.sites["site0"]
    site.answer("join", Note({"federation": "another"}))
    site.answer(*asked(made, "begin", round=0))
    return site, made


@pytest.mark.parametrize("otherwise", [{"rounds": 1, "steps": 10}, {"seed": 5}, {"rounds": 4}, {"delta": 0.5}], ids=str)
def test_rounds_steps_and_seed_of_a_run_are_as_they_were_promised(otherwise):
    site, made = begun()
    with pytest.raises(RefusedError, match="another privacy, rounds, steps or seed"):
        site.answer(*asked(made, **otherwise))


def test_a_site_takes_no_more_steps_than_were_promised():
    site, made = begun()
    for number in (1, 1, 2):  # the first is asked for twice, and answered alike
        site.answer(*asked(made, round=number))
    for number in (0, 3, 17, 99, -1):
        with pytest.raises(RefusedError, match=f"There is no round {number} of 2"):
            site.answer(*asked(made, round=number))
    veil = site.local.veil
    with pytest.raises(ConfigError, match=r"15 steps of training were asked for, 10 promised"):
        veil.steps("update of another name", 5)
    assert sorted(key for key in site.given if key.startswith("update")) == ["update 1", "update 2"]


def test_more_rounds_than_were_promised_are_told_before_anybody_is_asked(tmp_path):
    kept = Federation(FlowerLink(spoken_sites(2).grid), Plan(rounds=1, steps=5, **HIDDEN), tmp_path)
    kept.run()
    sites = spoken_sites(2)
    with pytest.raises(ConfigError, match=r"another plan \(rounds 1\)"):
        Federation(FlowerLink(sites.grid), Plan(rounds=3, steps=5, **HIDDEN), tmp_path).run()
    assert sites.sent == []


def test_a_site_without_a_key_that_was_begun_again_has_the_same_noise():
    site, made = begun()
    first = site.answer(*asked(made)).arrays["update"]
    again = Site("site0", site.make)
    again.recall(Note.read(site.state().written()))
    assert (again.answer(*asked(made)).arrays["update"] == first).all()


def test_usual_windows_are_not_shown_by_a_site_that_was_begun_again():
    site, made = begun()
    site.shared = b"x" * 32
    again = Site("site0", site.make, site.identity, site.roster, shared=site.shared)
    again.recall(site.state())
    for one in (site, again):
        with pytest.raises(RefusedError, match="promised to stay hidden"):
            one.answer(*asked(made, "patterns"))
        with pytest.raises(RefusedError, match="another privacy"):
            one.answer("patterns", Note({"round": 3}))


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_an_answer_behind_a_veil_holds_nothing_but_what_is_hidden(mode):
    sites = spoken_sites(signed=True)
    _, history = run(sites, mode=mode, **HIDDEN)
    assert history[1].loss == {}
    told = {}
    for _, message, answer in sites.sent:
        note = note_of(answer)
        told.setdefault(message.metadata.message_type.split(".")[1], set()).update(note.facts, note.arrays)
    vectors = {"masked", "commitment"} if mode == "secagg" else set()
    assert told["begin"] == {"round"} | (vectors or {"sums"})
    assert told["learn"] == {"round"} | (vectors or {"utility", "update"})
    assert told["calibrate"] == (vectors | {"round"} if vectors else {"count"})
    assert told["finish"] == {"kept"}


def test_second_moments_stay_at_a_site_that_hides_windows_whatever_the_server_asks(monkeypatch):
    def inputs(*_args):
        raise AssertionError("second moments were counted")

    site, made = begun()
    monkeypatch.setattr(Local, "inputs", inputs)
    note = site.answer(*asked(made, layers=True))
    assert set(note.arrays) == {"update"}


def test_a_figure_that_nobody_has_shown_to_be_hidden_stays_at_the_site():
    with pytest.raises(ConfigError, match="Nothing hides single windows in loss, moments"):
        require_hidden("learn", Note({"round": 1, "loss": 0.1}, {"moments": np.zeros(3)}))


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"weigh": "data"}, "asks without differential privacy, and this site gives no more than epsilon 4"),
        (HIDDEN, "asks for epsilon 8 at delta 1e-05, and this site gives no more than epsilon 4"),
        ({**HIDDEN, "epsilon": 4.0, "delta": 1e-3}, "asks for epsilon 4 at delta 0.001, and this site"),
    ],
    ids=["none", "less", "delta"],
)
def test_a_site_gives_away_no_more_than_it_is_willing_to(plan, says):
    sites = spoken_sites(3)
    sites.sites["site0"].bound = Bound(4.0)
    _, history = run(sites, rounds=1, **plan)
    site = sites.sites["site0"]
    assert says in str(site.ends)
    assert history[0].dropped == {"site0": "begin: it gives less away of a window than the plan asks for"}
    assert set(history[1].counted) == {"site1", "site2"}


def test_a_site_on_its_own_machine_that_is_asked_for_more_ends_with_one_line(monkeypatch, tmp_path, caplog):
    plan = Plan(rounds=1, steps=5, **HIDDEN)
    local = Local.of_windows(testing.usual_windows(200), local_of(0).context, "spoken")
    node = next(iter(spoken_sites(2).grid.contexts))  # messages need a grid to come from
    answers = []

    class Node:
        def __init__(self, *_):
            pass

        def run(self, answer):
            for kind, facts in (("join", {"federation": "f"}), ("begin", {**plan.facts(), "round": 0})):
                content = RecordDict({RECORD: ConfigRecord({NOTE: Note(facts).written()})})
                answers.append(answer(Message(content, node, TYPES[kind])))

    monkeypatch.setattr(running, "SuperNode", Node)
    monkeypatch.setattr(running.Local, "of", lambda *_args, **_options: local)
    taking = running.Taking("logs", tmp_path / "a.model", tmp_path / "a.work", "spoken", None, {}, {}, bound=Bound(1.0))
    with pytest.raises(TooLittlePrivacyError) as error:
        running.take_part("server:1", None, SiteKey("a", bytes(32)), taking, lambda _what, _n: None)
    assert isinstance(error.value, UserError)  # exit 2
    assert "\n" not in error.value.message
    assert [last for _, last in answers] == [False, True]
    assert note_of(answers[1][0]).facts == {"refused": "TooLittlePrivacyError"}
    assert caplog.text == ""


def test_what_federations_give_away_adds_up():
    sites = spoken_sites(2)
    for site in sites.sites.values():
        site.bound = Bound(16.0, 2e-5)
    for _ in range(2):
        run(sites, rounds=1, **HIDDEN)
    site = sites.sites["site0"]
    assert site.spent == [[8.0, 1e-5]] * 2
    again = Site("site0", site.make, bound=site.bound)
    again.recall(Note.read(site.state().written()))
    again.answer("join", Note({"federation": "third"}))
    with pytest.raises(TooLittlePrivacyError, match="which makes 24 and 3e-05 with earlier federations"):
        again.answer("begin", Note({**Plan(rounds=1, steps=5, **HIDDEN).facts(), "round": 0}))


def test_a_site_whose_table_of_types_is_full_takes_part():
    sites = spoken_sites()
    local = sites.sites["site0"].local
    template = local.learned.template.copy()
    template[0] = OVERFLOW
    local.learned = replace(local.learned, template=template)
    made, history = run(sites, **HIDDEN)
    assert [one.dropped for one in history] == [{}] * 4
    assert np.isfinite(made.weights).all()


def test_a_network_that_cannot_hide_windows_is_refused_by_its_site(sites):
    with pytest.raises(FederationError, match="Nothing was learned"):
        run(sites, rounds=3, **HIDDEN)


def test_counts_with_noise_are_fewer_and_believed_only_above_it():
    scores = np.concatenate([np.full(500, 0.5), np.geomspace(0.5, 5, 40)])
    coarse = blurred(counted(scores, np.ones(540)))
    assert (coarse > 0).sum() < 10
    assert coarse.sum() == 540
    noisy = coarse.copy()
    noisy[COARSE // 2 :: COARSE] += np.random.default_rng(0).normal(0, 1, GRID // COARSE)
    believed = without_noise(noisy, 1.0)
    assert believed[coarse == 0].sum() < 20
    assert 0.5 < tail_of(believed).quantile(0.05) / tail_of(coarse).quantile(0.05) < 2
