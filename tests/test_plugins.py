"""Built-ins and third parties come in through the same door."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog import formats, plugins
from oddlog.detectors import DEFAULT, create, installed
from oddlog.errors import ConfigError, FormatError, install
from oddlog.formats import registry
from oddlog.testing import check_detector, check_format

THIRD_PARTY = '''
import numpy as np
from oddlog.errors import TooLittleDataError
from oddlog.types import Scores, State


class Longest:
    """Windows longer than any usual one."""

    name = "longest"
    reads = frozenset({"template"})
    needs = "usual"

    def __init__(self, seed=None):
        self.seed = seed

    def fit(self, windows, context, labels=None, *, validation=None):
        usual = windows if labels is None else windows.take(labels != 1)
        if not len(usual):
            raise TooLittleDataError("Nothing to learn from.")
        self.k, self.longest = len(context.templates), int(usual.lengths.max())
        return self

    def score(self, windows):
        unseen = (windows.template >= self.k).astype(np.float32)
        n_unseen = np.bincount(windows.window_of_event, unseen, minlength=len(windows))
        return Scores(windows.lengths / self.longest + n_unseen, unseen)

    def state(self):
        return State(meta={"k": self.k, "longest": self.longest})

    @classmethod
    def from_state(cls, state, context):
        made = cls()
        made.k, made.longest = state.meta["k"], state.meta["longest"]
        return made
'''
THIRD_PARTY_FORMAT = '''
import polars as pl
from oddlog.types import LEVEL, TIME


class Arrows:
    """``service => message``."""

    name = "arrows"

    def parse(self, text, *, year):
        part = pl.col("text").str.splitn(" => ", 2).struct
        fits = part.field("field_1").is_not_null().fill_null(False)
        return pl.DataFrame({"text": text}, schema={"text": pl.String}).select(
            ok=fits,
            time=pl.lit(None, TIME),
            level=pl.lit(None, LEVEL),
            service=pl.when(fits).then(part.field("field_0")),
            host=pl.lit(None, pl.String),
            message=pl.when(fits).then(part.field("field_1")).otherwise(pl.col("text")),
        )
'''
METADATA = "Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n"
ENTRY = "[oddlog.detectors]\nlongest = third_party_longest:Longest\nbroken = third_party_nowhere:Nothing\n"
ENTRY += "[oddlog.formats]\narrows = third_party_arrows:Arrows\n"


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package as pip would install it."""
    (tmp_path / "third_party_longest.py").write_text(THIRD_PARTY)
    (tmp_path / "third_party_arrows.py").write_text(THIRD_PARTY_FORMAT)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY)
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (plugins.found, registry._installed):
        cached.cache_clear()
    yield tmp_path
    for cached in (plugins.found, registry._installed):
        cached.cache_clear()


def test_every_default_member_comes_in_by_an_entry_point():
    assert set(DEFAULT) <= set(plugins.found("oddlog.detectors"))
    for name in DEFAULT:
        assert plugins.load("oddlog.detectors", name).name == name


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    with pytest.raises(
        ConfigError, match=r"^There is no detector called 'sn'\. Did you mean 'snn'\? There are: .*cnn, "
    ):
        plugins.load("oddlog.detectors", "sn")


@pytest.mark.usefixtures("third_party")
def test_an_installed_third_party_detector_is_found_and_passed_the_seed():
    made = create("longest", seed=7)
    assert type(made).__module__ == "third_party_longest"
    assert vars(made)["seed"] == 7
    check_detector(lambda: create("longest"))


@pytest.mark.usefixtures("third_party")
def test_it_learns_judges_is_saved_and_loaded_as_a_member(small_log: Path, odd_log: Path, tmp_path: Path):
    oddlog.fit(small_log, detectors=["new-event", "longest"]).save(tmp_path / "own.model")
    model = oddlog.load(tmp_path / "own.model")
    assert [member.name for member in model.views[0].members] == ["new-event", "longest"]
    odd = model.detect(odd_log).scores.filter("is_anomaly")
    assert {"ord-200060", "ord-200061", "ord-200062"} <= set(odd["key"])


@pytest.mark.usefixtures("third_party")
def test_an_installed_third_party_format_keeps_its_contract_and_is_found():
    check_format(formats.by_name("arrows"))
    lines = pl.Series(["pay => charged 12 EUR", "web => order 17 received"] * 10)
    found = formats.detect_format(lines, year=2026)
    assert found.format.name == "arrows"
    assert found.format.parse(lines.head(2), year=2026)["service"].to_list() == ["pay", "web"]


def test_without_its_package_a_format_is_not_there():
    with pytest.raises(FormatError, match=r"^There is no format called 'arrows'\."):
        formats.by_name("arrows")


@pytest.mark.usefixtures("third_party")
def test_what_cannot_be_imported_is_named_with_its_place():
    with pytest.raises(ConfigError, match=r"'broken' \(third_party_nowhere:Nothing\) cannot be imported: No module"):
        plugins.load("oddlog.detectors", "broken")


def test_of_two_with_one_name_always_the_same_wins(monkeypatch: pytest.MonkeyPatch):
    group = "oddlog.detectors"
    both = [EntryPoint("same", "b.module:B", group), EntryPoint("same", "a.module:A", group)]
    winners = []
    for order in (both, both[::-1]):
        monkeypatch.setattr(plugins, "entry_points", lambda group, order=order: order)  # noqa: ARG005 - its keyword
        plugins.found.cache_clear()
        winners.append(plugins.found(group)["same"].value)
    plugins.found.cache_clear()
    assert winners == ["a.module:A", "a.module:A"]


def test_a_member_whose_library_is_missing_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("oddlog.detectors.find_spec", lambda name: None if name in {"torch", "sklearn"} else True)
    present, says = installed()
    assert present == ("snn", "new-event")
    assert says == (
        "Without the extra 'train' there is no dae, no ocsvm; snn and new-event do the work. "
        f"Install it with: {install('train')}"
    )
