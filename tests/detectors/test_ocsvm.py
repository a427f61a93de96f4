"""detectors/ocsvm.py: fitted by scikit-learn, scored by numpy."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from oddlog.detectors import kernel, ocsvm
from oddlog.detectors.ocsvm import OneClassSVM
from oddlog.errors import MissingExtraError
from oddlog.features.counts import counts
from oddlog.testing import check_detector, context, planted_windows, usual_windows, windows
from oddlog.types import Windows


def test_scores_equal_those_of_scikit_learn():
    svm = pytest.importorskip("sklearn.svm")
    usual = usual_windows()
    fitted = OneClassSVM().fit(usual, context())
    found = counts(usual, 6)
    logs = np.log1p(found.dense())
    mean = (logs * found.weight[:, None]).sum(0) / found.weight.sum()
    std = np.sqrt((((logs - mean) ** 2) * found.weight[:, None]).sum(0) / found.weight.sum()) + 0.1
    twin = svm.OneClassSVM(nu=0.01, gamma=1 / 7).fit((logs - mean) / std, sample_weight=found.weight)
    batch = Windows.concat([usual_windows(50, seed=1), planted_windows(), windows([[], [5] * 1000])])
    tested = counts(batch, 6, columns=found.columns)
    expected = -twin.decision_function((np.log1p(tested.dense()) - mean) / std)[tested.inverse]
    assert found.columns.width == 7
    assert np.abs(fitted.score(batch).window - expected).max() < 1e-9


def test_it_has_no_opinion_on_events():
    fitted = OneClassSVM().fit(usual_windows(), context())
    assert np.isnan(fitted.score(usual_windows(3)).event).all()


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    fitted, batch = OneClassSVM().fit(usual_windows(), context()), usual_windows(50, seed=1)
    whole = fitted.score(batch).window
    monkeypatch.setattr(kernel, "BLOCK", 1)
    assert fitted.score(batch).window == pytest.approx(whole, abs=1e-12)


def test_rows_to_learn_from_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ocsvm, "MAX_ROWS", 3)
    fitted = OneClassSVM().fit(usual_windows(), context())
    assert len(fitted.state().arrays["support"]) <= 3


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(MissingExtraError, match=r"one-class SVM needs the extra 'train'.*pip install"):
        OneClassSVM().fit(usual_windows(), context())


def test_raw_counts_are_what_the_largest_decide():
    literal = OneClassSVM(paper=True).fit(usual_windows(), context())
    check_detector(lambda: OneClassSVM(paper=True))
    back = OneClassSVM.from_state(literal.state(), context())
    assert np.array_equal(back.score(usual_windows(9)).window, literal.score(usual_windows(9)).window)
    assert not np.array_equal(
        OneClassSVM().fit(usual_windows(), context()).score(usual_windows(9)).window,
        literal.score(usual_windows(9)).window,
    )
