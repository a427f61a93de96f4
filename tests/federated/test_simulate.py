"""From folders of raw logs to a model for each site, and what leaves a site on the way."""

from __future__ import annotations

import hashlib
import json

import pytest

pytest.importorskip("flwr", reason="extra 'federated'")
pytest.importorskip("torch", reason="extra 'train'")

import oddlog
from oddlog.cli.federate import rows_of, tell
from oddlog.errors import ConfigError, InputError
from oddlog.federated.flower import InProcessGrid, note_of
from oddlog.federated.history import read_report
from oddlog.federated.server import FederationError, Plan
from oddlog.federated.simulate import simulate
from oddlog.pipeline.learning import fitting
from small_shop import shop_lines

SMALL = {"rounds": 2, "steps": 40, "tune_steps": 10}
NAMES = ("margarethe", "tulpenfeld", "sesamoeffnedich")
"""A user, a host and a secret without a digit, which no mask takes for a variable."""


def write(folder, seed, lines=150, extra=(), broken=0):
    folder.mkdir(parents=True)
    (folder / "app.log").write_text("\n".join([*shop_lines(lines, seed, broken=broken), *extra]) + "\n")
    return folder


@pytest.fixture
def three(tmp_path):
    return [write(tmp_path / name, i) for i, name in enumerate(("alpha", "beta", "gamma"))]


def test_each_site_gets_an_ordinary_model_that_finds_what_is_odd(three, tmp_path, odd_log):
    done = simulate(three, tmp_path / "fed.models", Plan(**SMALL, mode="secagg"), detectors=["new-event"])
    assert sorted(done.models) == ["alpha", "beta", "gamma"]
    for folder in done.models.values():
        model = oddlog.load(folder)
        assert [member.name for member in model.views[0].members] == ["new-event", "spoken"]
        assert model.detect(odd_log).incidents
    found = read_report(tmp_path / "fed.models")
    assert [one["number"] for one in found["rounds"]] == [0, 1, 2, 3]
    assert found["rounds"][1]["counted"] == {"alpha": None, "beta": None, "gamma": None}


def test_with_few_sessions_of_its_own_a_site_goes_by_the_common_network_and_the_thresholds_of_all(
    three, tmp_path, odd_log, monkeypatch
):
    monkeypatch.setattr(fitting, "CANDIDATES", ())  # networks of the site's own, which take a minute
    done = simulate(three, tmp_path / "fed.models", Plan(**{**SMALL, "tune_steps": 0}))
    model = oddlog.load(done.models["alpha"])
    facts = model.training["views"]["sessions"]
    assert facts["members"] == ["spoken"]
    assert {"snn", "new-event"} <= set(facts["shown"])
    assert facts["pooled"] == model.views[0].calibrator.n_usual > 100
    assert "spoken (calibrated on" in facts["says"]
    assert model.detect(odd_log).scores["is_anomaly"].sum() > 0


def test_sites_that_show_each_other_usual_windows_have_count_members_of_all_of_them(three, tmp_path):
    done = simulate(three, tmp_path / "fed.models", Plan(**SMALL, patterns=True), detectors=["snn", "new-event"])
    members = {one.name: one for one in oddlog.load(done.models["alpha"]).views[0].members}
    assert sorted(members) == ["new-event", "snn", "spoken"]
    alone = oddlog.fit(three[0], detectors=["snn"]).views[0].members[0]
    held = [detector.state().arrays["weight"].sum() for detector in (members["snn"], alone)]
    assert held[0] > 2 * held[1]
    assert done.history[-1].dropped == {}


@pytest.mark.parametrize("mode", ["visible", "secagg"])
def test_where_a_site_has_labels_the_report_has_its_f1_in_each_round_and_of_the_network_it_keeps(
    three, tmp_path, mode, capsys
):
    broken = write(tmp_path / "broken" / "alpha", 0, broken=12)
    labels = tmp_path / "labels"
    labels.mkdir()
    rows = [f"ord-0{i:05d},{int(i >= 150)}" for i in range(162)]
    (labels / "alpha.csv").write_text("\n".join(["key,label", *rows]))
    plan = Plan(rounds=2, steps=40, mode=mode)
    done = simulate([broken, *three[1:]], tmp_path / "m", plan, detectors=["new-event"], labels=labels)
    assert [list(one.f1) for one in done.history] == [[], ["alpha"], ["alpha"], ["alpha"]]
    assert all(0 <= one.f1["alpha"] <= 1 for one in done.history[1:])
    assert done.history[-1].f1["alpha"] > 0.9
    tell(done.facts(), json=True)
    shown = json.loads(capsys.readouterr().out)["rounds"]
    assert [list(one["f1"]) for one in shown] == [[], ["alpha"], ["alpha"], ["alpha"]]
    assert rows_of(shown, sites=True)[3]["F1"] == f"{done.history[1].f1['alpha']:.3f}"
    assert rows_of(shown, sites=False)[1]["F1"] == f"{done.history[1].f1['alpha']:.3f}"
    assert oddlog.load(done.models["alpha"]).training["views"]["sessions"]["anomalous_by_label"] >= 11


def test_labels_of_nobody_are_told(three, tmp_path):
    with pytest.raises(ConfigError, match=r"labels of none of the sites\. Write one file"):
        simulate(three, tmp_path / "m", labels=tmp_path)


def test_an_empty_site_and_one_of_twenty_lines_are_left_out_and_the_others_go_on(three, tmp_path):
    (tmp_path / "empty").mkdir()
    short = write(tmp_path / "short", 9, lines=4)
    done = simulate(
        [*three, tmp_path / "empty", short], tmp_path / "fed.models", Plan(**SMALL), detectors=["new-event"]
    )
    assert sorted(done.left_out) == ["empty", "short"]
    assert "too few" in done.left_out["short"]
    assert sorted(done.models) == ["alpha", "beta", "gamma"]


def test_two_sites_of_one_name_and_a_detector_that_cannot_be_shared_are_told(three, tmp_path):
    twin = write(tmp_path / "other" / "alpha", 5)
    with pytest.raises(ConfigError, match="Two sites are called 'alpha'"):
        simulate([*three, twin], tmp_path / "m")
    with pytest.raises(ConfigError, match="'snn' cannot be trained by several sites"):
        simulate(three, tmp_path / "m", detector="snn")


def test_a_site_alone_is_no_federation(three, tmp_path):
    with pytest.raises(FederationError, match="1 sites can learn together"):
        simulate(three[:1], tmp_path / "m", Plan(**SMALL))


def test_where_there_is_no_report_it_is_told(tmp_path):
    with pytest.raises(InputError, match="no report of a federation"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    "plan",
    [{"mode": "secagg"}, {"mode": "visible"}, {"mode": "visible", "bits": 8}, {"mode": "secagg", "patterns": True}],
)
def test_users_hosts_and_secrets_without_digits_are_in_no_byte_that_leaves_a_site(tmp_path, monkeypatch, plan):
    user, host, secret = NAMES
    said = [
        f"2026-03-02 18:{i:02d}:00,001 INFO shop.web: Order ord-{990_000 + i} opened by {user} on {host} with {secret}"
        for i in range(40)
    ]
    sites = [write(tmp_path / "alpha", 1, extra=said), write(tmp_path / "beta", 2), write(tmp_path / "gamma", 3)]
    sent = []
    push = InProcessGrid._push

    def seen(grid, message):
        number = push(grid, message)
        sent.append(note_of(message).written())
        sent.append(note_of(grid._answers[number]).written())
        return number

    monkeypatch.setattr(InProcessGrid, "_push", seen)
    done = simulate(sites, tmp_path / "fed.models", Plan(**SMALL, **plan), detectors=["new-event"])
    texts = oddlog.load(done.models["alpha"]).context.templates
    mine = [text for text in texts.text if user in text]
    assert mine, "the names are in the site's own templates"
    everything = b"".join(sent) + json.dumps(done.facts(), default=str).encode()
    assert len(everything) > 500_000 * (0.25 if plan.get("bits") else 1)
    for text in (*NAMES, *mine, *(f"{a} {b}" for a in NAMES for b in NAMES)):
        for form in forms_of(text):
            assert form not in everything
    for key in texts.key.tolist():
        assert key.to_bytes(8, "little") not in everything
        assert key.to_bytes(8, "big") not in everything


def forms_of(text):
    """A text as it is, in other alphabets, and under the usual hashes, as bytes and as hexadecimal."""
    raw = text.encode()
    yield from (raw, raw.hex().encode(), text.upper().encode(), raw[::-1], text.encode("utf-16-le"))
    hashes = [hashlib.new(name, raw).digest() for name in ("md5", "sha1", "sha256", "sha512", "sha3_256")]
    hashes += [hashlib.blake2b(raw, digest_size=size).digest() for size in (8, 12, 16, 32, 64)]
    for digest in hashes:
        yield digest
        yield digest.hex().encode()
