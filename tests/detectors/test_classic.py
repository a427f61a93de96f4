"""The classic detectors that learn without labels and are fitted by numpy alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog
from naive import detectors as naive
from oddlog.detectors import (
    DEFAULT,
    bigrams,
    count_neighbour,
    create,
    error_count,
    isolation,
    line_neighbour,
    logcluster,
)
from oddlog.detectors.logcluster import complete_linkage, representatives
from oddlog.detectors.pca import q_statistic
from oddlog.errors import ConfigError
from oddlog.features.text import embed
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import CLOSED_BY, LEVELS, Context, Windows

CLASSIC: dict[str, dict[str, Any]] = {
    "error-count": {},
    "pca": {},
    "count-neighbour": {},
    "bigrams": {},
    "line-neighbour": {},
    "iforest": {},
    "logcluster": {},
}
VARIANTS = [("pca", {"paper": True}), ("bigrams", {"paper": True}), ("logcluster", {"paper": True})]
SEQUENCES = st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=12)


def texts(*text: str) -> Context:
    base = context(len(text))
    return replace(base, templates=replace(base.templates, text=text, embedding=embed(text)))


@pytest.mark.parametrize(("name", "options"), [*CLASSIC.items(), *VARIANTS])
def test_each_keeps_the_contract(name: str, options: dict[str, Any]):
    check_detector(lambda: create(name, **options))


@pytest.mark.parametrize("name", CLASSIC)
def test_none_of_them_joins_the_default_verdict(name: str):
    assert create(name).name == name
    assert name not in DEFAULT


@pytest.mark.parametrize("name", CLASSIC)
def test_each_is_learned_saved_loaded_and_judges(name: str, small_log: Path, odd_log: Path, tmp_path: Path):
    oddlog.fit(small_log, detectors=name).save(tmp_path / "one.model")
    model = oddlog.load(tmp_path / "one.model")
    scores = model.detect(odd_log).scores
    assert [member.name for member in model.views[0].members] == [name]
    assert scores["score"].is_not_nan().any()


WITHOUT_EXTRAS = """
import sys
sys.modules.update(dict.fromkeys(("torch", "sklearn", "onnx", "scipy")))  # None stands for: cannot be imported
import oddlog
model = oddlog.load(sys.argv[1])
print(*(member.name for member in model.views[0].members), model.detect(sys.argv[2]).scores["score"].is_nan().sum())
"""


def test_a_saved_model_of_all_that_extras_fit_is_scored_without_them(small_log: Path, odd_log: Path, tmp_path: Path):
    pytest.importorskip("torch")
    both = tmp_path / "both.log"
    both.write_text(small_log.read_text() + odd_log.read_text())
    (tmp_path / "labels.csv").write_text("key,label\nord-200060,1\nord-200061,1\nord-200062,1\n")
    names = ["svm", "cart", "boosting", "two-autoencoders"]
    options = {"two-autoencoders": {"steps": 20}}
    oddlog.fit(both, labels=tmp_path / "labels.csv", detectors=names, options=options).save(tmp_path / "a.model")
    command = [sys.executable, "-c", WITHOUT_EXTRAS, str(tmp_path / "a.model"), str(odd_log)]
    out = subprocess.run(command, text=True, capture_output=True, check=False)
    assert out.returncode == 0, out.stderr
    assert out.stdout.split() == [*names, "1"]  # one window is cut off by the end of the log


def test_error_count_counts_levels_and_where_there_is_none_words():
    told = texts("request <*> served", "request <*> failed", "Traceback of <*>")
    fitted = create("error-count").fit(windows([[0]]), told)
    batch = windows([[0, 0, 1], [2, 1, 0], [], [9]])
    levels = ["ERROR", "CRITICAL", "INFO", "UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN"]
    batch = replace(batch, level=np.array([LEVELS.index(level) for level in levels], np.uint8))
    scores = fitted.score(batch)
    assert scores.window.tolist() == [2.0, 2.0, 0.0, 0.0]
    assert scores.event.tolist() == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_error_count_reads_the_words_of_types_unseen_by_the_model_once_they_are_told(monkeypatch: pytest.MonkeyPatch):
    fitted = create("error-count").fit(windows([[0]]), texts("request <*> served"))
    batch = replace(windows([[1], [2], [3]]), level=np.zeros(3, np.uint8))
    assert fitted.score(batch).window.tolist() == [0.0, 0.0, 0.0]
    assert fitted.with_texts(["disk full", "disk failed"]).score(batch).window.tolist() == [0.0, 1.0, 0.0]
    monkeypatch.setattr(error_count, "MAX_UNSEEN", 1)
    assert fitted.with_texts(["disk full", "disk failed"]).score(batch).window.tolist() == [0.0, 0.0, 0.0]


def test_error_count_counts_from_the_level_that_is_asked_for():
    batch = replace(windows([[0, 0]]), level=np.array([LEVELS.index("WARNING")] * 2, np.uint8))
    assert create("error-count", least="WARNING").fit(batch, context()).score(batch).window.tolist() == [2.0]
    with pytest.raises(ConfigError, match=r"There is no level 'WARN'\. Did you mean 'WARNING'\?"):
        create("error-count", least="WARN")


def test_pca_leaves_what_usual_windows_have_not_in_common():
    usual = windows([[0] * n + [1] * n for n in (1, 2, 3, 4, 5, 6)] * 5)  # ones and twos grow together
    fitted = create("pca").fit(usual, context())
    along, across, unseen = fitted.score(windows([[0] * 9 + [1] * 9, [0] * 9 + [1], [0, 1, 9]])).window
    assert along < 0.05 < across < unseen
    assert fitted._components.shape == (4, 1)  # two types, the rare and the unseen slot; one direction holds 95 %


def test_pca_shares_a_windows_score_out_to_its_events():
    fitted = create("pca").fit(usual_windows(), context())
    scores = fitted.score(windows([[0, 1, 2, 9, 4]]))
    assert scores.event.argmax() == 3
    assert scores.event.sum() <= scores.window[0] + 1e-6


def test_pcas_own_threshold_is_that_of_normal_residuals():
    square = (np.random.default_rng(0).standard_normal((200_000, 3)) * np.sqrt([3.0, 2.0, 1.0])) ** 2
    limit = q_statistic(np.array([3.0, 2.0, 1.0]), 0.001)
    assert (square.sum(1) > limit).mean() == pytest.approx(0.001, abs=0.0004)
    assert q_statistic(np.zeros(3), 0.001) == 0.0
    assert q_statistic(np.array([100.0, *[0.01] * 1000]), 0.001) > 0  # where the approximation has no root


@settings(deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_count_neighbour_equals_its_slow_twin(usual: list[list[int]], tested: list[list[int]]):
    fitted = create("count-neighbour").fit(windows(usual), context())
    expected = naive.relative_difference(usual, tested, 6)
    assert fitted.score(windows(tested)).window == pytest.approx(expected, abs=1e-9)


def test_the_parts_of_a_distance_lie_on_the_types_that_differ():
    fitted = create("count-neighbour").fit(windows([[0, 1, 2], [0, 1, 2, 3]] * 5), context())
    scores = fitted.score(windows([[0, 1, 2], [0, 1, 2, 9]]))
    assert scores.window[0] == 0.0
    assert scores.event.tolist()[:6] == [0.0] * 6
    assert scores.event[6] == pytest.approx(scores.window[1])


@settings(deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_bigrams_equal_their_slow_twin(usual: list[list[int]], tested: list[list[int]]):
    fitted = create("bigrams").fit(windows(usual), context())
    assert fitted.score(windows(tested)).window.tolist() == naive.unseen_pairs(usual, tested, 6)


def test_the_end_of_a_window_counts_only_where_it_is_over():
    fitted = create("bigrams").fit(windows([[0, 1, 2]]), context())
    cut_off = replace(windows([[0, 1]]), closed_by=np.array([CLOSED_BY.index("bounds")], np.uint8))
    assert fitted.score(windows([[0, 1]])).window.tolist() == [1.0]
    assert fitted.score(windows([[0, 1]])).event.tolist() == [0.0, 1.0]
    assert fitted.score(cut_off).window.tolist() == [0.0]
    literal = create("bigrams", paper=True).fit(windows([[0, 1, 2]]), context())
    assert literal.score(cut_off).window.tolist() == [1.0]
    assert literal.score(windows([[2, 1, 0]])).window.tolist() == [1.0]


def test_a_line_is_as_odd_as_its_text_is_far_from_usual_ones():
    told = texts("Connection to <*> opened", "connectionOpened <*>", "Disk <*> full", "Connection to <*> closed")
    fitted = create("line-neighbour").fit(windows([[0, 3]]), told)
    scores = fitted.score(windows([[0], [1, 0], [2], [7]]))
    same, near, far, unseen = scores.window.tolist()
    assert same == 0.0 < near < 0.3 < far <= unseen == 1.0
    assert scores.event[2] == 0.0


def test_texts_of_types_unseen_by_the_model_are_compared_once_they_are_told(monkeypatch: pytest.MonkeyPatch):
    fitted = create("line-neighbour").fit(windows([[0]]), texts("Connection to <*> opened"))
    batch, further = windows([[0], [1], [2], [3]]), ["connectionOpened <*>", "Disk <*> full"]
    knowing = fitted.with_texts(further)
    assert fitted.score(batch).window.tolist() == [0.0, 1.0, 1.0, 1.0]
    same, near, far, unknown = knowing.score(batch).window.tolist()
    assert same == 0.0 < near < 0.3 < far <= unknown == 1.0
    assert knowing.state().arrays["distance"].tolist() == fitted.state().arrays["distance"].tolist()
    monkeypatch.setattr(line_neighbour, "MAX_UNSEEN", 0)
    assert fitted.with_texts(further).score(batch).window.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_isolation_forest_ranks_as_that_of_scikit_learn_does():
    ensemble = pytest.importorskip("sklearn.ensemble")
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1_000, 4))
    trees = isolation.forest(x, np.ones(len(x)), 256, seed=1, ranges=False)
    score = 2 ** (-trees.values(x) / 100 / isolation.expected_path(256))
    theirs = -ensemble.IsolationForest(random_state=1).fit(x).score_samples(x)
    assert stats.spearmanr(score, theirs).statistic > 0.95
    assert np.abs(score - theirs).mean() < 0.02


def test_isolation_forest_tells_what_lies_outside_from_the_outermost_usual_window():
    outer, outside = windows([[0, *[1, 2] * 4, 3, 4]]), windows([[0, *[1, 2] * 40, 3, 4]])
    for paper in (False, True):
        fitted = create("iforest", paper=paper, seed=3).fit(usual_windows(), context())
        apart = fitted.score(outside).window[0] - fitted.score(outer).window[0]
        assert apart == 0.0 if paper else apart > 0.1


def test_cuts_fall_on_columns_that_vary_however_many_do_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isolation, "TRIED", 2)
    x = np.zeros((50, 30))
    x[:, 17] = np.arange(50)
    trees = isolation.forest(x, np.ones(50), 32, seed=0, ranges=True)
    assert set(trees.feature.tolist()) == {-1, 17}


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**16), st.floats(0.05, 2.0))
def test_clusters_are_those_of_scipy(n: int, seed: int, apart: float):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    spatial = pytest.importorskip("scipy.spatial.distance")
    distance = spatial.squareform(spatial.pdist(np.random.default_rng(seed).normal(size=(n, 3))))
    theirs = hierarchy.fcluster(hierarchy.linkage(spatial.squareform(distance), "complete"), apart, "distance")
    ours = complete_linkage(distance, apart)
    assert len(np.unique(np.stack([ours, theirs]), axis=1).T) == len(np.unique(ours)) == len(np.unique(theirs))


def test_a_cluster_is_known_by_its_most_typical_window():
    place = np.array([0.0, 1.0, 2.0, 10.0])
    distance = np.abs(place[:, None] - place)
    cluster = complete_linkage(distance, 2.0)
    assert cluster.tolist() == [0, 0, 0, 1]
    assert representatives(distance, cluster, np.ones(4)).tolist() == [1, 3]
    assert representatives(distance, cluster, np.array([9.0, 1, 1, 1])).tolist() == [0, 3]


def test_logcluster_weighs_rare_and_new_types_and_the_paper_sees_no_counts():
    usual = windows([[0, 1], [0, 2]] * 10)
    fitted = create("logcluster").fit(usual, context())
    n, half = 1 / (1 + np.exp(-np.log(2))) / 2, 0.25  # of a type that half of the windows hold, and of one in all
    assert fitted._weight.tolist() == pytest.approx([half, n, n, *[20 / 21 / 2 + 0.5] * 2])
    same, more, new = fitted.score(windows([[0, 1], [0, 1, 1, 1, 1, 1, 1], [0, 1, 9]])).window
    assert 0.0 == same < more < new
    literal = create("logcluster", paper=True).fit(usual, context())
    assert literal.score(windows([[0, 1, 1, 1, 1, 1, 1]])).window.tolist() == [0.0]


def test_what_is_stored_is_bounded(monkeypatch: pytest.MonkeyPatch):
    usual = usual_windows()
    monkeypatch.setattr(count_neighbour, "MAX_REFERENCES", 3)
    assert len(create("count-neighbour").fit(usual, context()).state().arrays["weight"]) == 3
    monkeypatch.setattr(bigrams, "MAX_PAIRS", 2)
    pairs = create("bigrams").fit(usual, context()).state().arrays["pairs"]
    assert pairs.tolist() == [0 * 8 + 1, 1 * 8 + 2]  # each window holds begin-0, 0-1, 1-2, 4-end: the lowest of these
    monkeypatch.setattr(logcluster, "MAX_ROWS", 1)
    assert len(create("logcluster").fit(usual, context()).state().arrays["representative"]) == 1
    trees = create("iforest").fit(usual, context()).state().arrays
    assert len(trees["tree.feature"]) <= 100 * (2 * 256 - 1)
    monkeypatch.setattr(isolation, "MAX_ROWS", 1)
    assert create("iforest").fit(usual, context()).state().arrays["tree.feature"].tolist() == [-1] * 100
    monkeypatch.setattr(line_neighbour, "MAX_TEXTS", 1)
    told = texts("Disk <*> full", "Connection to <*> opened", "connectionOpened <*>")
    fitted = create("line-neighbour").fit(windows([[0, 1], [0]]), told)
    assert fitted.score(windows([[1], [2]])).window.tolist() == [0.0, 1.0]  # only the text of most windows is asked


def test_many_windows_are_scored_in_blocks(monkeypatch: pytest.MonkeyPatch):
    batch = Windows.concat([usual_windows(50, seed=1), planted_windows()])
    for name, module in (
        ("pca", "pca"),
        ("count-neighbour", "count_neighbour"),
        ("iforest", "isolation"),
        ("logcluster", "logcluster"),
    ):
        fitted = create(name).fit(usual_windows(), context())
        whole = fitted.score(batch).window
        monkeypatch.setattr(f"oddlog.detectors.{module}.BLOCK", 1)
        assert fitted.score(batch).window == pytest.approx(whole, abs=1e-9)
