"""pipeline/learning/view.py: from gathered windows to a view: who votes, who is shown, and where the threshold lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fake_members import Ageing, Chance, Fake, Telling, register
from made_windows import windows_of
from oddlog.errors import TooLittleDataError
from oddlog.pipeline.judging.views import Cut
from oddlog.pipeline.learning.gathering import Gathering
from oddlog.pipeline.learning.view import Gathered, Learned, learn_view
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.testing import context
from oddlog.types import CLOSED_BY, I8, Windows
from oddlog.windows import SessionChoice

CUT = Cut("session", SessionChoice("field", "f.id"))
K = 5


def cycles(n: int, seed: int = 3) -> Windows:
    draw = np.random.default_rng(seed)
    return windows_of([[0, *[1, 2, 3] * int(times), 4] for times in draw.integers(1, 5, n)])


def gathered(windows: Windows, label: I8 | None = None, **limits: int) -> Gathered:
    class Known:
        def of(self, part: Windows) -> I8:
            return np.zeros(len(part), np.int8) if label is None else label[part.start]

    edges = np.quantile(windows.start, [0.2, 0.4, 0.6, 0.8], method="higher").astype(np.int64)
    gathering = Gathering(CUT, K, edges, labels=None if label is None else Known(), whole=WholeWindows(**limits))  # type: ignore[arg-type]
    gathering.add(windows)
    return gathering.gathered()


def learned(found: Gathered, names: list[str], candidates: tuple[str, ...] = (), rate: float = 0.01) -> Learned:
    return learn_view(
        "sessions", CUT, found, context(K), names, rate, "usual", None, lambda _what, _n: None, candidates
    )


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Fake, Chance, Ageing, Telling)


def test_counted_and_whole_windows_are_the_same_windows():
    found = gathered(cycles(500))
    assert found.windows.weight.sum() == len(found.whole.windows) == 500
    assert len(found.windows) == 20  # four kinds in each of five stretches
    place = found.place(K)
    assert (found.windows.lengths[place] == found.whole.windows.lengths).all()
    assert (found.fold[place] == found.whole.fold).all()


def test_whole_windows_that_no_counted_one_stands_for_have_no_place():
    found = gathered(cycles(500))
    fewer = replace(
        found,
        windows=found.windows.take(np.arange(5)),
        hashes=found.hashes[:5],
        fold=found.fold[:5],
        label=found.label[:5],
    )
    place = fewer.place(K)
    assert (found.windows.lengths[place[place >= 0]] == found.whole.windows.lengths[place >= 0]).all()
    assert 0 < (place < 0).sum() < 500


def test_what_a_daemon_says_that_is_never_over_is_no_news_tomorrow():
    windows = windows_of([[0, 1, 2]] * 500)
    daemon = windows_of([[3, 3]])
    tomorrow = replace(daemon, closed_by=np.array([CLOSED_BY.index("open")], np.uint8))
    found = gathered(windows)
    odd = learned(found, ["new-event"]).view.verdicts(tomorrow)
    assert odd["is_anomaly"].to_list() == [True]
    known = learned(replace(found, lasting=np.array([3])), ["new-event"]).view
    assert known.verdicts(tomorrow)["is_anomaly"].to_list() == [False]
    unseen = replace(tomorrow, template=np.array([3, K], np.uint32))  # what training did not hold is news as ever
    assert known.verdicts(unseen)["is_anomaly"].to_list() == [True]


def test_that_types_are_missing_whose_sources_were_not_given_makes_nothing_odd():
    view = learned(gathered(cycles(500)), ["snn", "new-event"]).view
    lacking = windows_of([[1, 2, 3, 4], [1, 2, 3, 4, K], [0, 1, 2, 3], [0, 1, 2, 3, 4]])
    assert view.verdicts(lacking)["is_anomaly"].to_list() == [True, True, True, False]
    partly = replace(view, absent=frozenset({0}))
    assert partly.verdicts(lacking)["is_anomaly"].to_list() == [False, True, True, False]
    told = [[(one.template, one.kind) for one in found] for found in partly.oddities(lacking.take(np.array([1, 2])))]
    assert told == [[(K, "unseen_template")], [(4, "missing_event")]]  # 4 has a source that is here


def test_a_candidate_that_helps_votes_and_one_that_does_not_is_shown():
    view, facts = (one := learned(gathered(cycles(4_000)), ["new-event"], ("chance", "pairs"))).view, one.facts
    assert view.voting == ("new-event", "pairs")
    assert view.shown == ("chance",)
    assert facts["members"] == ["new-event", "pairs"]
    assert facts["shown"] == ["chance"]
    assert {name: told["joined"] for name, told in facts["joining"].items()} == {"chance": False, "pairs": True}
    assert "new-event, pairs (shown beside them: chance); odd is 1 in 100" in facts["says"]


def test_a_verdict_that_a_held_out_member_joined_keeps_its_false_alarm_rate():
    view = learned(gathered(cycles(4_000)), ["snn", "new-event"], ("pairs",), rate=0.02).view
    assert "pairs" in view.voting
    later = view.verdicts(cycles(5_000, seed=9))
    assert later["is_anomaly"].mean() < 0.02 + 3 * np.sqrt(0.02 / 600)
    # and what only it can see is odd
    assert view.verdicts(windows_of([[0, 1, 3, 2, 4]] * 3))["is_anomaly"].all()


def test_shown_members_change_no_verdict():
    found, asked = gathered(cycles(600)), cycles(200, seed=5)
    alone = learned(found, ["snn", "new-event"]).view
    beside = learned(found, ["snn", "new-event"], ("chance", "ageing")).view
    assert beside.shown == ("chance", "ageing")
    assert alone.verdicts(asked).equals(beside.verdicts(asked))
    assert set(beside.member_p(asked)) == {"snn", "new-event", "chance", "ageing"}


def test_members_that_are_named_vote_whatever_the_rule_would_say():
    view = learned(gathered(cycles(600)), ["new-event", "chance"]).view
    assert view.voting == ("new-event", "chance")
    assert learned(gathered(cycles(600)), ["new-event", "chance"]).facts["joining"] == {}


def test_candidates_that_cannot_be_fitted_are_left_out_and_noted(monkeypatch: pytest.MonkeyPatch):
    class Picky(Fake):
        name = "picky"

        def fit(self, *_: Any, **__: Any) -> Picky:
            raise TooLittleDataError("Too little for it.", "Give more.")

    register(monkeypatch, Picky)
    one = learned(gathered(cycles(600)), ["new-event"], ("picky",))
    assert [member.name for member in one.view.members] == ["new-event"]
    assert one.facts["notes"] == ["picky is not learned: Too little for it. Give more."]
    with pytest.raises(TooLittleDataError):
        learned(gathered(cycles(600)), ["new-event", "picky"])


def test_too_few_windows_for_a_candidate_are_noted():
    one = learned(gathered(cycles(60)), ["new-event"], ("pairs",), rate=0.1)
    assert one.view.voting == ("new-event",)
    assert "pairs is not learned: 60 usual sessions are too few (at least 100)." in one.facts["notes"]


def test_anomalies_by_label_are_learned_from_by_no_one():
    windows = Windows.concat([cycles(400), windows_of([[0, 2, 2, 2]] * 40)])
    windows = replace(windows, start=np.arange(440), key=windows_of([[]] * 440).key)
    label = np.where(np.arange(440) >= 400, 1, -1).astype(np.int8)
    learned(gathered(windows, label), ["new-event"], ("pairs",), rate=0.1)
    assert not {f"s{i}" for i in range(400, 440)} & set(Fake.fitted[0][1] + Fake.fitted[0][2])


def mixed(n: int, share: float) -> tuple[Windows, I8]:
    """Return cycles, some of them with their middle turned round, all labelled."""
    draw = np.random.default_rng(7)
    odd = draw.random(n) < share
    bags = [
        [0, *([3, 2, 1] if bad else [1, 2, 3]) * int(t), 4] for bad, t in zip(odd, draw.integers(1, 5, n), strict=True)
    ]
    return windows_of(bags), odd.astype(np.int8)


@pytest.mark.parametrize("calibrates", ["folds", "holdout"])
def test_what_voters_have_learned_by_heart_does_not_choose_the_threshold(
    monkeypatch: pytest.MonkeyPatch, calibrates: str
):
    class Rote(Chance):
        """Knows by heart what it was fitted to, and guesses at everything else."""

        name = "rote"

        def fit(self, windows: Windows, *rest: Any, **more: Any) -> Rote:
            self.known = set(windows.key.to_list())
            return super().fit(windows, *rest, **more)

        def score(self, windows: Windows) -> Any:
            found = super().score(windows)
            return replace(found, window=np.where([key in self.known for key in windows.key], 0.0, found.window))

    Rote.calibrates = calibrates
    register(monkeypatch, Rote)
    windows, label = mixed(1_000, 0.1)
    one = learned(gathered(windows, label), ["rote"], rate=0.05)
    assert one.facts["validation_f1"] < 0.5  # guessing; by windows it knows by heart it would be 1


def test_labels_choose_the_threshold_that_tells_both_kinds_apart():
    windows, label = mixed(1_000, 0.1)
    one = learned(gathered(windows, label), ["new-event", "pairs"], rate=0.2)
    later, truth = mixed(1_000, 0.1)
    assert one.facts["validation_f1"] == 1.0
    assert one.view.verdicts(later)["is_anomaly"].to_list() == (truth == 1).tolist()


def test_without_labels_of_both_kinds_at_the_end_the_threshold_stays():
    windows, label = mixed(600, 0.1)
    only_early = np.where(np.arange(600) < 400, label, 0).astype(np.int8)
    usual = windows.take(np.flatnonzero((label == 0) | (np.arange(600) < 400)))
    found = gathered(
        replace(usual, start=np.arange(len(usual))), only_early[np.flatnonzero((label == 0) | (np.arange(600) < 400))]
    )
    one = learned(found, ["new-event"], rate=0.05)
    assert any("are labelled anomalous: the threshold is that without labels" in note for note in one.facts["notes"])
    assert "validation_f1" not in one.facts


def labelled_cycles(n: int = 500) -> tuple[Windows, I8]:
    """Return cycles, a tenth of them without their end."""
    odd = np.random.default_rng(5).random(n) < 0.1
    times = np.random.default_rng(6).integers(1, 5, n)
    bags = [[0, *[1, 2, 3] * int(t), *([] if bad else [4])] for bad, t in zip(odd, times, strict=True)]
    return windows_of(bags), odd.astype(np.int8)


@pytest.mark.parametrize("names", [["cart"], ["cart", "snn"], ["cart", "telling"]])
def test_a_member_that_learns_from_labels_is_judged_by_what_it_has_not_learned(names: list[str]):
    windows, label = labelled_cycles()
    one = learned(gathered(windows, label), names, rate=0.05)
    assert one.view.voting == tuple(names)
    assert one.facts["with_labels"] == ["cart"]
    assert f"{label.sum()} anomalous by label cart learned from" in one.facts["says"]
    later, truth = labelled_cycles(300)
    assert one.facts["validation_f1"] == 1.0
    assert one.view.verdicts(later)["is_anomaly"].to_list() == (truth == 1).tolist()


@pytest.mark.parametrize("calibrates", ["folds", "holdout"])
@pytest.mark.parametrize("reads", ["template", "order"])
@pytest.mark.parametrize("names", [["heart"], ["heart", "new-event"], ["heart", "telling"]])
def test_labels_learned_by_heart_do_not_choose_the_threshold(
    monkeypatch: pytest.MonkeyPatch, calibrates: str, reads: str, names: list[str]
):
    class Heart(Chance):
        """Knows by heart which of the windows it was fitted to are anomalous, and guesses at everything else."""

        name = "heart"
        needs = "labels"

        def fit(self, windows: Windows, context: Any, labels: I8 | None = None, **more: Any) -> Heart:
            assert labels is not None
            assert set(np.unique(labels).tolist()) == {0, 1}
            self.known = dict(zip(windows.key.to_list(), labels.tolist(), strict=True))
            return super().fit(windows, context, labels, **more)

        def score(self, windows: Windows) -> Any:
            found = super().score(windows)
            by_heart = np.array([self.known.get(key, np.nan) for key in windows.key]) * 10
            return replace(found, window=np.where(np.isnan(by_heart), found.window, by_heart))

    Heart.calibrates, Heart.reads = calibrates, frozenset({reads})
    register(monkeypatch, Heart, Telling)
    # Windows alike in their counts are one: let there be many. Labels that no window tells.
    windows = windows_of([[0, *[1] * (1 + i % 31), *[2] * (1 + i % 29), 3, 4] for i in range(1_000)])
    label = (np.random.default_rng(7).random(1_000) < 0.1).astype(np.int8)
    one = learned(gathered(windows, label), names, rate=0.05)
    assert 0.0 < one.facts["validation_f1"] < 0.5  # guessing; by heart it would be 1


def test_where_no_window_is_labelled_anomalous_those_without_need_of_labels_go_on():
    windows, label = labelled_cycles()
    usual = windows.take(np.flatnonzero(label == 0))
    found = gathered(replace(usual, start=np.arange(len(usual))))
    one = learned(found, ["cart", "new-event"])
    assert one.view.voting == ("new-event",)
    assert one.facts["notes"][0] == (
        "cart learns from labels, and none of these sessions is labelled anomalous: left out here."
    )
    alone = learned(found, ["cart", "svm"])
    assert alone.view is None
    assert alone.facts["says"] == (
        "not learned: cart and svm learn from labels, and none of these sessions is labelled anomalous"
    )


def test_anomalies_of_one_stretch_only_are_scored_by_nobody_and_the_threshold_is_that_without_labels():
    windows, label = labelled_cycles()
    only_late = np.where(np.arange(500) >= 440, label, 0).astype(np.int8)
    keep = np.flatnonzero((label == 0) | (np.arange(500) >= 440))
    found = gathered(replace(windows.take(keep), start=np.arange(len(keep))), only_late[keep])
    one = learned(found, ["cart"], rate=0.05)
    assert any("are labelled anomalous: the threshold is that without labels" in note for note in one.facts["notes"])
