"""detectors/deeplog.py and the other rivals that PyTorch trains, as they stand and as their papers have them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.detectors import create, runtime
from oddlog.detectors.histories import histories
from oddlog.detectors.logsy import auxiliary, tokenised
from oddlog.detectors.semantics import approximated, clustered
from oddlog.errors import LabelError
from oddlog.features.counts import RARE, UNSEEN, Columns
from oddlog.testing import check_detector, context, usual_windows, windows, with_durations
from oddlog.types import Context, Detector, Number

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
classifiers = pytest.importorskip("oddlog.detectors.deep.classifiers")
texts_deep = pytest.importorskip("oddlog.detectors.deep.logsy")
export = pytest.importorskip("oddlog.detectors.deep.export")
masked = pytest.importorskip("oddlog.detectors.deep.logbert")
networks = pytest.importorskip("oddlog.detectors.deep.networks")
training = pytest.importorskip("oddlog.detectors.deep.training")

SMALL: dict[str, dict[str, Any]] = {
    "deeplog": {"width": 16, "rate": 1e-2},
    "loganomaly": {"width": 16, "rate": 1e-2},
    "semantic-lstm": {"width": 16, "rate": 1e-2},
    "logbert": {"width": 16, "rate": 1e-2},
}
"""Options of small networks, trained for long enough to tell planted windows from usual ones."""
paper = pytest.mark.parametrize("paper", [False, True], ids=["ours", "paper"])


def rival(name: str, **more: Any) -> Detector:
    return create(name, 5, **{"steps": 60, "batch": 32, **SMALL[name], **more})


@pytest.mark.parametrize(
    ("name", "paper"),
    [*((name, False) for name in SMALL), ("deeplog", True), ("logbert", True)],  # the others' is that of deeplog
)
def test_a_rival_keeps_the_contract(name: str, paper: bool):
    check_detector(lambda: rival(name, paper=paper, steps=30))


LABELLED = ["key-cnn", "logrobust"]


@pytest.mark.parametrize("name", LABELLED)
def test_a_rival_that_learns_from_labels_keeps_the_contract(name: str):
    check_detector(lambda: create(name, 5, steps=40, batch=32, width=16, rate=1e-2))


@pytest.mark.parametrize("name", LABELLED)
def test_labels_decide_what_is_odd(name: str):
    texts = ("open file", "read block", "write page", "close handle", "begin", "end")
    named = Context(replace(context().templates, text=texts))
    order = [[0, 1, 2, 3], [0, 2, 1, 3]]
    both = windows(order * 40)
    label = np.array([0, 1] * 40, np.int8)
    for turn in (1, -1):
        fitted = create(name, 5, steps=150, batch=32, width=16, rate=1e-2)
        found = fitted.fit(both, named, label if turn == 1 else 1 - label).score(windows(order))
        usual, odd = turn * found.window
        assert odd > 1 > -1 > usual
        assert np.isnan(found.event).all()


def test_of_the_pieces_of_a_long_window_the_highest_counts():
    fitted = create("key-cnn", 5, steps=150, batch=32, width=16, rate=1e-2)
    fitted.fit(windows([[0, 1, 2, 3], [0, 2, 1, 3]] * 40), context(), np.array([0, 1] * 40, np.int8))
    long, odd = [0, 1, 2, 3] * 100, [*[0, 1, 2, 3] * 50, 0, 2, 1, 3, *[0, 1, 2, 3] * 50]
    assert np.diff(fitted.score(windows([long, odd])).window)[0] > 2


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (None, r"There are no labels to learn from\."),
        ([0, 0], r"No window is labelled anomalous, and to learn from labels takes both kinds\."),
        ([1, 1], r"No window is usual, and to learn from labels takes both kinds\."),
    ],
)
def test_labels_of_one_kind_are_not_enough(name: str, labels: list[int] | None, says: str):
    given = None if labels is None else np.array(labels, np.int8)
    with pytest.raises(LabelError, match=says):
        create(name).fit(windows([[0], [1]]), context(), given)


def test_logrobust_knows_a_type_that_training_did_not_hold_by_its_text():
    texts = ("read block <*>", "block <*> read", "disk failure on <*>", "failure on disk <*>", "x", "y")
    named = Context(replace(context().templates, text=texts))
    both = windows([[0, 0], [0, 2]] * 40)
    fitted = create("logrobust", 5, steps=150, batch=32, width=16, rate=1e-2)
    fitted.fit(both, named, np.array([0, 1] * 40, np.int8))
    usual, odd = fitted.score(windows([[1, 1], [1, 3]])).window
    assert usual < -1 < 1 < odd


def test_the_first_paper_s_lstm_keeps_the_contract():
    check_detector(lambda: create("lstm-one-hot", 5, steps=200, width=24, rate=1e-2))


def test_one_hot_and_padded_is_judged_by_mean_and_three_standard_deviations():
    whole = [0, 1, 2, 3, 4, 5]
    fitted = create("lstm-one-hot", 5, steps=200, width=24, rate=1e-2).fit(windows([whole] * 80), context())
    usual, unseen, long = fitted.score(windows([whole, [9] * 6, whole * 20])).window
    assert usual <= fitted.verdict_above == 1.0 < unseen
    assert long == pytest.approx(usual)  # of its pieces each is usual
    assert np.isnan(fitted.score(windows([whole])).event).all()


def test_the_papers_verdict_is_a_score_that_they_name():
    assert (rival("deeplog", paper=True).verdict_above, rival("deeplog").verdict_above) == (1.0, None)
    assert (rival("logbert", paper=True).verdict_above, rival("logbert").verdict_above) == (1.0, None)
    assert create("key-cnn").verdict_above == 0.0  # even odds
    assert create("logcluster", apart=0.2).verdict_above == 0.2


def test_logsy_keeps_the_contract():
    check_detector(lambda: create("logsy", 5, steps=40))


def test_logsy_tells_texts_of_this_system_from_those_of_others():
    texts = ("received block <*> of size <*>", "deleting block <*>", "served block <*> to <*>", "a", "b", "c")
    named = Context(replace(context().templates, text=texts))
    fitted = create("logsy", 5, steps=150).fit(windows([[0, 1, 2]] * 40), named)
    scores = fitted.score(windows([[0, 1, 2], [0, 9]]))
    assert scores.window[1] > 10 * scores.window[0]
    told = fitted.with_texts(["deleting the block <*>", auxiliary()[7]])
    known, other, beyond = told.score(windows([[6], [7], [8]])).window
    assert known < other
    assert beyond == scores.window[1]
    assert fitted.score(windows([[6]])).window[0] == beyond  # the first one is as it was
    assert told.state().arrays.keys() == fitted.state().arrays.keys()


def test_a_text_of_the_simulator_is_no_other_system_where_the_logs_hold_it():
    every = auxiliary()
    assert len(every) > 200
    assert auxiliary([every[3].upper()]) == [text for text in every if text != every[3]]


def test_words_have_the_same_place_everywhere():
    tokens, lengths = tokenised(["dataNode_lost <*> lost", "<*>", "word " * 99])
    assert lengths.tolist() == [5, 1, 33]
    assert tokens[0, 0] == tokens[1, 0] == 1
    assert tokens[0, 3] == tokens[0, 4]
    assert (tokens[0, 1:5] >= 2).all()
    assert tokens[0, 5:].tolist() == [0] * 28


sequences = st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=6)


@given(sequences, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_histories_are_those_of_the_slow_twin(given: list[list[int]], most: int):
    expected: Counter[tuple[tuple[int, ...], int]] = Counter()
    for weight, one in enumerate(given, 1):
        for i in range(1, len(one)):
            expected[tuple(one[max(0, i - most) : i]), one[i]] += weight
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in given])]).astype(np.int64)
    token = np.array([token for one in given for token in one], np.int64)
    found = histories(token, offsets, np.arange(1, len(given) + 1, dtype=np.float64), most)
    rows = zip(found.token.tolist(), found.length.tolist(), found.target.tolist(), found.weight.tolist(), strict=True)
    assert {(tuple(t[:n]), after): weight for t, n, after, weight in rows} == dict(expected)
    assert found.target[found.place].tolist() == token[found.event].tolist()


@pytest.mark.parametrize("name", ["deeplog", "loganomaly"])
def test_above_one_none_of_the_g_likeliest_came(name: str):
    fitted = rival(name, paper=True, g=1, steps=200).fit(windows([[0, 1, 2, 3, 4, 5]] * 60), context())
    usual, odd, unseen, lone = fitted.score(windows([[0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5], [0, 9], [0]])).window
    assert usual == 1 < odd <= unseen
    assert np.isnan(lone)  # nothing stands before its only event
    # the literal form has no end: a window that was cut off looks usual
    assert fitted.score(windows([[0, 1, 2]])).window[0] == 1
    assert (
        rival(name, steps=200)
        .fit(windows([[0, 1, 2, 3, 4, 5]] * 60), context())
        .score(windows([[0, 1, 2], [0, 1, 2, 3, 4, 5]]))
        .window.argmax()
        == 0
    )


def test_logbert_s_paper_counts_hidden_types_that_are_none_of_the_g_likeliest():
    learned = windows([[0, 1, 2, 3, 4, 5]] * 60)
    fitted = rival("logbert", paper=True, g=1, r=2, hidden=0.5, steps=200).fit(learned, context())
    usual, odd, unseen = fitted.score(windows([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [9] * 12])).window
    assert usual == 0
    assert 1 < odd < unseen
    # ours hides each once, the end too: a window that was cut off is odd
    ours = rival("logbert", steps=200).fit(learned, context())
    scores = ours.score(windows([[0, 1, 2, 3, 4, 5], [0, 1, 2], [0, 1, 9, 3, 4, 5]]))
    assert scores.window[1:].min() > 5 * scores.window[0]
    assert scores.event[9:].argmax() == 2


def test_types_not_met_in_training_stand_for_the_nearest_text():
    columns = Columns.of_rows(np.array([0, 2]), np.array([1]), 5)
    vectors = np.array([[1, 0], [1, 1], [0, 1], [0.1, 2], [-1, 1]], np.float32)
    near = approximated(columns, vectors, 0.8)
    assert near.of(np.array([0, 1, 2, 3, 4, 9], np.uint32)).tolist() == [0, 2, 1, 1, 3, 3]
    always = approximated(columns, vectors, -1.0)
    assert always.of(np.array([3, 4, 9], np.uint32)).tolist() == [1, 1, 3]  # one beyond the table has no text


def test_types_with_texts_alike_share_a_cluster():
    columns = Columns.of_rows(np.array([0, 1, 2]), np.array([4]), 5)
    vectors = np.array([[1, 0], [0, 1], [2, 0.1], [1, 0], [0, 1]], np.float32)
    found = clustered(columns, vectors, 0.8)
    assert found.of(np.array([0, 1, 2, 3, 4, 9], np.uint32)).tolist() == [0, 1, 0, 3, 2, 3]
    assert found.row.tolist() == [0, 1, RARE, UNSEEN]


def test_semantic_clusters_take_one_type_for_another_of_the_same_meaning():
    texts = ("open file <*>", "write block <*>", "file <*> open", "close <*>", "unrelated matter", "panic")
    named = Context(replace(context().templates, text=texts))
    learned = windows([[0, 1, 3], [0, 1, 1, 3]] * 40)
    by_cluster = rival("semantic-lstm", steps=150).fit(learned, named)
    by_type = rival("deeplog", steps=150).fit(learned, named)
    batch = windows([[0, 1, 3], [2, 1, 3], [5, 1, 3]])
    usual, alike, odd = by_cluster.score(batch).window
    assert usual == alike < odd
    assert by_type.score(batch).window[1] > 3 * by_type.score(batch).window[0]


BATCHES = [(1, 4), (2, 12), (1024, 8), (3, 40)]


@pytest.mark.parametrize(("b", "t"), BATCHES)
def test_texts_and_counts_equal_those_of_torch(b: int, t: int):
    draw = np.random.default_rng(b)
    with training.seeded(3):
        model = networks.TextsAndCounts(8, draw.normal(size=(9, 5)).astype(np.float32), 7, 2, 10)
    tokens, targets = draw.integers(0, 9, (b, t)), draw.integers(0, 8, (b, t))
    with torch.no_grad():
        log_p = model(torch.from_numpy(tokens))
        expected = -log_p.gather(2, torch.from_numpy(targets).unsqueeze(2)).squeeze(2).numpy()
    weights, feed = training.weights_of(model), {"tokens": tokens, "targets": targets}
    assert np.abs(runtime.session(export.surprise(weights, 10)).run(None, feed)[0] - expected).max() < 1e-5
    rank = runtime.session(export.rank(weights, 10)).run(None, feed)[0]
    above = (log_p.numpy() > -expected[:, :, None] + 1e-6).sum(2)
    assert (rank >= above).all()
    assert (rank == above + 1).mean() > 0.99  # but for types that are as likely to the last bit


def test_what_is_counted_is_what_the_slow_twin_counts():
    tokens = np.random.default_rng(0).integers(0, 4, (3, 12))
    to = export.Writer("counts")
    turned = to.add("Transpose", "tokens", perm=[1, 0])
    to.add("Identity", export._counts(to, turned, 4, 5), out="counts")
    made = to.model([("tokens", 7, ["b", "t"])], [("counts", 1, ["t", "b", 4])])
    found = runtime.session(made).run(None, {"tokens": tokens})[0]
    for b, row in enumerate(tokens.tolist()):
        for t in range(12):
            last = row[max(0, t - 4) : t + 1]
            assert found[t, b].tolist() == [last.count(token) for token in range(4)]


@pytest.mark.parametrize(("b", "s"), [(1, 5), (2, 12), (1024, 8), (3, 40)])
@pytest.mark.parametrize("name", LABELLED)
def test_odds_equal_those_of_torch(name: str, b: int, s: int):
    draw = np.random.default_rng(b)
    with training.seeded(3):
        vectors = draw.normal(size=(9, 6)).astype(np.float32)
        model = classifiers.KeyCnn(9, 6, 7) if name == "key-cnn" else classifiers.AttentiveLstm(vectors, 7)
    graph = classifiers.key_cnn if name == "key-cnn" else classifiers.attentive_lstm
    tokens, lengths = draw.integers(0, 9, (b, s)), draw.integers(1, s + 1, b)
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens), torch.from_numpy(lengths), None).numpy()
    session = runtime.session(graph(training.weights_of(model)))
    found = session.run(["odds"], {"tokens": tokens, "lengths": lengths})[0]
    assert np.abs(found - expected).max() < 1e-5
    # what lies behind an end is not seen
    tokens[np.arange(s) >= lengths[:, None]] = 0
    assert np.abs(session.run(["odds"], {"tokens": tokens, "lengths": lengths})[0] - found).max() < 1e-5


@pytest.mark.parametrize(("b", "s"), BATCHES)
def test_distances_of_texts_equal_those_of_torch(b: int, s: int):
    with training.seeded(3):
        model = texts_deep.TextDistance(20, 8, 2, 40)
    draw = np.random.default_rng(b)
    tokens, lengths = draw.integers(0, 20, (b, s)), draw.integers(1, s + 1, b)
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens), torch.from_numpy(lengths)).numpy()
    session = runtime.session(texts_deep.graph(training.weights_of(model), 40))
    found = session.run(["far"], {"tokens": tokens, "lengths": lengths})[0]
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(("b", "s"), BATCHES)
def test_masked_keys_equal_those_of_torch(b: int, s: int):
    with training.seeded(3):
        model = masked.MaskedKeys(9, 7, 8, 2, 40)
    with torch.no_grad():
        model.centre += 0.2
    draw = np.random.default_rng(b)
    tokens, targets, lengths = draw.integers(0, 9, (b, s)), draw.integers(0, 7, (b, s)), draw.integers(1, s + 1, b)
    with torch.no_grad():
        log_p, far = model(torch.from_numpy(tokens), torch.from_numpy(lengths))
        expected = -log_p.gather(2, torch.from_numpy(targets).unsqueeze(2)).squeeze(2).numpy()
    feed = {"tokens": tokens, "lengths": lengths, "targets": targets}
    surprise, _, distance = runtime.session(masked.graph(training.weights_of(model), 40)).run(None, feed)
    assert np.abs(surprise - expected)[np.arange(s) < lengths[:, None]].max() < 1e-5
    assert np.abs(distance - far.numpy()).max() < 1e-5


@paper
def test_deeplog_finds_a_number_out_of_range(paper: bool):
    numbered = Context(context().templates, (Number("duration_ms", "ms", "log"),))
    fitted = rival("deeplog", paper=paper).fit(with_durations(usual_windows()), numbered)
    usual = with_durations(windows([[0, 1, 2, 4]]))
    slow = replace(usual, numbers=usual.numbers * np.array([[1], [1], [500], [1]], np.float32))
    before, after = fitted.score(usual), fitted.score(slow)
    assert after.window[0] > max(before.window[0], 1)
    assert np.nanargmax(after.event) == 2
