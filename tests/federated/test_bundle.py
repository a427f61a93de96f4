"""What several machines run: the app's folder, a site as its SuperNode describes it."""

from __future__ import annotations

import tomllib

import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

from oddlog.errors import ConfigError
from oddlog.federated.bundle import write_app
from oddlog.federated.deployed import STATE, identity_at, keep, plan_of, site_of
from oddlog.federated.server import Plan
from oddlog.federated.wire import Note


def test_the_app_names_the_whole_plan_and_reads_back_as_the_default_one(tmp_path):
    write_app(tmp_path / "app", tmp_path / "work", sites=3)
    project = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())
    config = project["tool"]["flwr"]["app"]["config"]
    assert config.pop("sites") == 3
    assert config.pop("folder") == str(tmp_path / "work")
    config.pop("wait_s")
    assert plan_of(config) == Plan(mode="secagg")
    with pytest.raises(ConfigError, match="is there already"):
        write_app(tmp_path / "app", tmp_path / "work")


def test_a_name_in_the_configuration_that_a_plan_has_not_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'rounds'"):
        plan_of({"round": 3})


def test_a_site_goes_on_with_the_secrets_of_the_message_before_which_nobody_else_may_read(tmp_path):
    config = {"site": "alpha", "logs": "nowhere", "work": str(tmp_path / "work")}
    first = site_of(config)
    first.answer("advertise", Note({"session": "00ff", "threshold": 2}))
    first.summed[3] = ("alpha", "beta")
    keep(first, tmp_path / "work")
    again = site_of(config)
    assert again.parties["00ff"] == first.parties["00ff"]
    assert again.summed == first.summed
    assert again.identity == first.identity
    for name in (STATE, "identity"):
        assert (tmp_path / "work" / name).stat().st_mode & 0o777 == 0o600


def test_a_roster_with_one_key_twice_is_told(tmp_path):
    key = identity_at(tmp_path / "key").public.hex()
    (tmp_path / "roster").write_text(f"alpha {key}\nbeta {key}\n")
    with pytest.raises(ConfigError, match="alpha and beta have one identity"):
        site_of({"site": "a", "logs": "x", "work": str(tmp_path / "w"), "roster": str(tmp_path / "roster")})
