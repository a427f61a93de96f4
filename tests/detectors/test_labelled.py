"""The detectors that learn from labels, and the windows that they are given."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oddlog.detectors import DEFAULT, boosting, cart, create, logistic, svm
from oddlog.detectors.labelled import Examples, both_kinds, merged
from oddlog.detectors.logistic import PENALTY, newton
from oddlog.errors import LabelError, MissingExtraError, TooLittleDataError
from oddlog.features.counts import counts
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import I8, Context, Windows

LABELLED = ("svm", "cart", "logistic", "boosting")
every = pytest.mark.parametrize("name", LABELLED)


def told(*text: str) -> Context:
    base = context(len(text))
    return replace(base, templates=replace(base.templates, text=text))


def mixed(n: int = 60) -> tuple[Windows, I8]:
    """Return usual windows and some that lack their end, in turn."""
    both = Windows.concat([usual_windows(n), windows([[0, *[1, 2] * i, 3] for i in (1, 2, 3)] * 4)])
    return both, np.repeat(np.array([0, 1], np.int8), [n, 12])


@every
def test_each_keeps_the_contract(name: str):
    check_detector(lambda: create(name))


@every
def test_each_learns_from_labels_and_votes_only_where_it_is_named(name: str):
    made = create(name)
    assert (made.name, made.needs) == (name, "labels")
    assert name not in DEFAULT


@every
def test_each_finds_again_what_it_was_told_is_anomalous(name: str):
    both, label = mixed()
    fitted = create(name).fit(both, told("order in", "write", "answer", "retry", "order out", "unused"), label)
    score = fitted.score(both).window
    assert score[label == 1].min() > score[label == 0].max()


@every
def test_without_labels_of_both_kinds_the_error_says_what_is_missing(name: str):
    usual = usual_windows(5)
    with pytest.raises(LabelError, match=r"no labels to learn from\. Give some with --labels"):
        create(name).fit(usual, context())
    with pytest.raises(LabelError, match="No window is labelled anomalous, and to learn from labels takes both kinds"):
        create(name).fit(usual, context(), np.zeros(5, np.int8))
    with pytest.raises(LabelError, match="No window is usual"):
        create(name).fit(usual, context(), np.ones(5, np.int8))


@pytest.mark.parametrize(("name", "module"), [("svm", "svm"), ("cart", "tree"), ("boosting", "ensemble")])
def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: str, module: str):
    monkeypatch.setitem(sys.modules, f"sklearn.{module}", None)
    both, label = mixed()
    with pytest.raises(MissingExtraError, match=r"needs the extra 'train'.*pip install"):
        create(name).fit(both, context(), label)


def test_what_has_no_label_counts_as_usual():
    both, label = mixed()
    unknown = np.where(label == 1, 1, -1).astype(np.int8)
    expected = create("logistic").fit(both, context(), label).score(both).window
    assert create("logistic").fit(both, context(), unknown).score(both).window.tolist() == expected.tolist()
    with pytest.raises(TooLittleDataError):
        both_kinds(Windows.empty(), np.empty(0, np.int8))


def test_alike_windows_are_one_row_and_both_kinds_weigh_the_same():
    batch = windows([[0, 1], [1, 0], [0], [0, 1], [2]])
    found = Examples.of(batch, np.array([0, 0, 0, 1, 1], np.int8), 6, 100)
    assert found.label.tolist() == [0, 0, 1, 1]  # what is both usual and anomalous stands there twice
    assert found.weight[found.label == 0].sum() == found.weight[found.label == 1].sum() == 2.5
    assert sorted(found.weight.tolist()) == pytest.approx([2.5 / 3, 1.25, 1.25, 5 / 3])
    assert found.count.sum(1).max() == 2


def test_a_cap_keeps_what_stands_for_most_windows_of_each_kind():
    usual, odd = usual_windows(200), planted_windows()
    both = Windows.concat([usual, odd])
    kept, label = merged(both, np.repeat(np.array([0, 1], np.int8), [200, 2]), 6, 5)
    assert label.tolist() == [0, 0, 0, 1, 1]
    lengths = np.unique(usual.lengths, return_counts=True)
    assert kept.lengths[0] in lengths[0][np.argsort(-lengths[1])[:4]]


def of(module: str, name: str) -> Any:
    sklearn = pytest.importorskip(f"sklearn.{module}")
    return getattr(sklearn, name)


def test_svm_scores_equal_those_of_scikit_learn():
    both, label = mixed()
    fitted = create("svm", c=2.0).fit(both, context(), label)
    found = Examples.of(both, label, 6, 5_000)
    twin = of("svm", "SVC")(C=2.0, gamma=1 / found.columns.width)
    twin.fit(fitted._kernel.standard.of(found.count), found.label, sample_weight=found.weight)
    asked = counts(both, 6, columns=found.columns)
    expected = twin.decision_function(fitted._kernel.standard.of(asked.dense()))[asked.inverse]
    assert fitted.score(both).window == pytest.approx(expected, abs=1e-9)


def test_cart_scores_equal_those_of_scikit_learn():
    both, label = mixed()
    fitted = create("cart", seed=4).fit(both, context(), label)
    found = Examples.of(both, label, 6, 20_000)
    twin = of("tree", "DecisionTreeClassifier")(
        max_leaf_nodes=cart.MAX_LEAVES, ccp_alpha=cart.PRICE, random_state=4
    ).fit(found.count, found.label, sample_weight=found.weight)
    asked = counts(both, 6, columns=found.columns)
    expected = twin.predict_proba(asked.dense())[asked.inverse, 1]
    assert fitted.score(both).window == pytest.approx(expected, abs=1e-12)


def test_boosting_scores_equal_those_of_scikit_learn():
    both, label = mixed()
    texts = told("order received", "write block", "block written", "write retried", "order closed", "never seen")
    fitted = create("boosting", seed=2).fit(both, texts, label)
    kept, kept_label = merged(both, label, 6, boosting.MAX_ROWS)
    x = fitted._words.counts(kept)
    used = np.flatnonzero(x.min(0) < x.max(0))
    twin = of("ensemble", "GradientBoostingClassifier")(max_features="sqrt", init="zero", random_state=2).fit(
        x[:, used].astype(np.float32), kept_label, sample_weight=kept.weight
    )
    expected = twin.decision_function(fitted._words.counts(both)[:, used].astype(np.float32))
    assert fitted.score(both).window == pytest.approx(expected, abs=1e-9)


def test_logistic_regression_equals_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    draw = np.random.default_rng(0)
    x, weight = draw.normal(size=(200, 5)), draw.uniform(0.5, 2.0, 200)
    label = (x[:, 0] + draw.normal(size=200) > 0).astype(np.int8)
    twin = linear.LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=1_000).fit(x, label, sample_weight=weight)
    fitted = newton(x, label, weight)
    assert fitted == pytest.approx([*twin.intercept_, *twin.coef_[0]], abs=1e-5)


def test_newton_ends_where_a_word_tells_all():
    x = np.repeat([[-3.0], [3.0]], 500, axis=0)
    fitted = newton(x, np.repeat(np.array([0, 1], np.int8), 500), np.full(1_000, 50.0))
    assert np.isfinite(fitted).all()
    assert fitted[1] > 1


def test_a_line_says_by_its_words_which_way_it_pulls():
    both, label = mixed()
    texts = told("order received", "write block", "block written", "write failed", "order closed", "unused")
    scores = create("logistic").fit(both, texts, label).score(windows([[0, 1, 2, 3, 4]]))
    assert scores.event.argmax() == 3
    assert scores.event.argmin() == 4


def test_words_of_a_type_that_training_never_met_speak_for_it():
    both, label = mixed()
    texts = told("order received", "write block", "block written", "write failed", "order closed", "send failed")
    for name in ("logistic", "boosting"):
        fitted = create(name).fit(both, texts, label)
        failed, closed = fitted.score(windows([[0, 1, 2, 5], [0, 1, 2, 4]])).window
        assert failed > closed


@pytest.mark.parametrize(
    ("name", "module"), [("svm", svm), ("cart", cart), ("logistic", logistic), ("boosting", boosting)]
)
def test_rows_to_learn_from_are_bounded(monkeypatch: pytest.MonkeyPatch, name: str, module: Any):
    seen: list[int] = []
    real = merged

    def told_of(*given: Any) -> Any:
        kept = real(*given)
        seen.append(len(kept[0]))
        return kept

    monkeypatch.setattr("oddlog.detectors.labelled.merged", told_of)
    if hasattr(module, "merged"):
        monkeypatch.setattr(module, "merged", told_of)
    monkeypatch.setattr(module, "MAX_ROWS", 4)
    both, label = mixed()
    fitted = create(name).fit(both, context(), label)
    assert seen == [4]
    assert np.isfinite(fitted.score(both).window).all()
