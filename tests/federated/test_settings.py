"""What a server and a site are given: configuration, rosters, keys, certificates."""

from __future__ import annotations

import datetime as dt
import json

import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

from oddlog.errors import ConfigError, InputError
from oddlog.federated.certificate import make_certificate
from oddlog.federated.identity import SiteKey, read_roster
from oddlog.federated.plan import Plan
from oddlog.federated.settings import Settings
from oddlog.federated.status import Status

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@pytest.fixture
def folder(tmp_path):
    lines = [SiteKey.at(tmp_path / f"{name}.key", name).line() for name in ("alpha", "beta", "gamma")]
    (tmp_path / "roster.txt").write_text("# three sites\n\n" + "\n".join(lines) + "\n")
    return tmp_path


def settings(folder, text):
    (folder / "federation.toml").write_text(text)
    return Settings.read(folder / "federation.toml")


def test_what_is_not_written_is_loopback_all_sites_of_the_roster_and_secure_sums(folder):
    found = settings(folder, "[plan]\nrounds = 3\ntune-steps = 5\ndeadline = '2min'\ntemperature = 2\n")
    assert (found.host, found.port, found.sites, found.wait_s) == ("127.0.0.1", 9092, 3, 300)
    assert found.folder == folder / "federation"
    assert found.plan == Plan(rounds=3, tune_steps=5, deadline_s=120.0, temperature=2.0, mode="secagg")
    assert sorted(found.roster) == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adress = '127.0.0.1:1'", r"sets 'adress', which there is not. Did you mean 'address'\?"),
        ("[plan]\nround = 3", r"\[plan\] of .* sets 'round', which there is not. Did you mean 'rounds'\?"),
        ("[plan]\nrounds = 'three'", "rounds = 'three' is no whole number. Write it without quotes"),
        ("[plan]\nrounds = true", "rounds = True is no whole number"),
        ("[plan]\nmode = 3", "mode = 3 is no text"),
        ("[plan]\nmode = 'secag'", "There is no mode called 'secag'. Did you mean 'secagg'"),
        ("[plan]\ndeadline = 'soon'", "'soon' is no duration"),
        ("[plan]\ntarget = 2.0", "A target of 2.0 and a patience of 0 rounds end nothing"),
        ("plan = 3", "plan is a table"),
        ("sites = 7", "7 sites are waited for, the roster names 3. Write sites = 2 to 3"),
        ("address = 'here'", "'here' is no address. Write host and port"),
        ("roster = 'none.txt'", "none.txt cannot be read"),
        ("sites = ", "is not TOML"),
    ],
)
def test_a_slip_in_the_configuration_is_told_in_one_line_with_the_nearest_name(folder, text, said):
    with pytest.raises(ConfigError, match=said) as error:
        settings(folder, text)
    assert "\n" not in error.value.message.split("is not TOML")[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("alpha 12 34", "Line 1 of the roster is no site's: 'alpha 12 34'"),
        ("{alpha}\n{alpha}", "Line 2 of the roster is a second one of alpha"),
        ("{alpha}\n{twin}", "alpha and twin have one identity"),
        ("# nobody", "names no site"),
    ],
)
def test_a_roster_that_is_wrong_is_told_with_the_line(folder, lines, said):
    alpha = SiteKey.at(folder / "alpha.key").line()
    text = lines.format(alpha=alpha, twin=alpha.replace("alpha", "twin"))
    (folder / "roster.txt").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_roster(folder / "roster.txt")


def test_a_key_is_made_once_is_secret_and_belongs_to_one_site(folder):
    path = folder / "alpha.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert SiteKey.at(path, "alpha").line() == SiteKey.at(path).line()
    with pytest.raises(ConfigError, match="is the key of alpha, not of beta"):
        SiteKey.at(path, "beta")
    with pytest.raises(ConfigError, match="There is no key"):
        SiteKey.at(folder / "none.key")
    path.write_text("-----BEGIN")
    with pytest.raises(ConfigError, match="is no key of a site"):
        SiteKey.at(path)


def test_the_secret_is_not_in_the_roster_line(folder):
    key = SiteKey.at(folder / "alpha.key")
    assert key.secret.hex() not in key.line()
    assert key.signing.private.hex() not in key.line()


def test_a_certificate_is_not_written_over_another(folder):
    make_certificate(["127.0.0.1", "fed.example.com"], folder / "tls", 30, NOW)
    assert (folder / "tls" / "server.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is there already"):
        make_certificate(["127.0.0.1"], folder / "tls", 30, NOW)


def test_a_server_that_did_not_say_goodbye_was_killed(tmp_path):
    with pytest.raises(InputError, match="No server of a federation has worked in"):
        Status.read(tmp_path)
    Status("learning", 2**22 + 1, "127.0.0.1:1", 3, {}).write(tmp_path)  # no process has this number
    assert Status.read(tmp_path).state == "killed"
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "learning"
