"""Splits cannot leak, whatever the set looks like."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.errors import ConfigError, TooLittleDataError
from oddlog.evaluation.catalogue import CASES, LINES, Catalogue
from oddlog.evaluation.protocols import PROTOCOLS, Split, parse, shows_labels, split


def as_lines(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(service=pl.lit(None), host=pl.lit(None)).cast(dict(LINES))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Lines of up to 20 sessions that overlap in any way, some lines of no session, in one or two sources."""
    n = draw(st.integers(4, 20))
    case = np.array(draw(st.lists(st.integers(-1, n - 1), min_size=4, max_size=80)))
    source = np.sort(np.array(draw(st.lists(st.integers(0, 1), min_size=len(case), max_size=len(case)))))
    timed = draw(st.booleans())
    steps = draw(st.lists(st.integers(0, 5), min_size=len(case), max_size=len(case)))
    time = np.cumsum(steps) if timed else np.arange(len(case))
    label = np.array(draw(st.lists(st.integers(-1, 1), min_size=n, max_size=n)), np.int8)
    met, place = np.unique(case[case >= 0], return_inverse=True)
    number = np.full(len(case), -1)
    number[case >= 0] = place
    rows = [np.flatnonzero(number == i) for i in range(len(met))]
    order = sorted(range(len(met)), key=lambda i: (time[rows[i]].min(), rows[i][0]))
    rank = np.argsort(order) if order else np.empty(0, int)
    number[number >= 0] = rank[number[number >= 0]]
    cases = [
        {
            "key": f"s{i}",
            "first": int(rows[i][0]),
            "start": int(time[rows[i]].min()),
            "end": int(time[rows[i]].max()),
            "lines": len(rows[i]),
            "label": int(label[i]),
            "kind": None,
            "system": "a" if i % 2 else "b",
        }
        for i in order
    ]
    lines = pl.DataFrame(
        {
            "source": source,
            "line": np.arange(1, len(case) + 1),
            "time_us": time,
            "case": number,
            "label": [cases[i]["label"] if i >= 0 else -1 for i in number],
        }
    )
    frame = pl.DataFrame(cases, schema=CASES)
    return Catalogue("made", as_lines(lines), frame, ("train/a.log", "today/b.log"), timed)


def made(of: Catalogue, protocol: str, seed: int) -> Split | None:
    try:
        return split(of, protocol, seed)
    except TooLittleDataError:
        return None


ALL = st.sampled_from([*PROTOCOLS, "time:share=0.2", "time-usual:share=0.7,gap=0.1", "contaminated:share=0.7"])


@given(catalogues(), ALL, st.integers(0, 3))
def test_no_line_and_no_session_is_in_both_parts(of: Catalogue, protocol: str, seed: int):
    parts = made(of, protocol, seed)
    if parts is not None:
        assert not set(parts.train) & set(parts.test)
        train, test = (set(of.case[rows].tolist()) - {-1} for rows in (parts.train, parts.test))
        assert not train & test
        assert (np.diff(parts.train) > 0).all()
        assert (np.diff(parts.test) > 0).all()


@given(catalogues(), st.sampled_from(["time", "time-usual", "70-15-15", "time:share=0.3,gap=0.2"]))
def test_nothing_is_learned_from_after_what_is_judged_has_begun(of: Catalogue, protocol: str):
    parts = made(of, protocol, 0)
    if parts is not None:
        assert of.time_us[parts.train].max() < of.time_us[parts.test].min()


@given(catalogues(), st.sampled_from(["time", "70-15-15"]), st.data())
def test_labels_do_not_move_a_split_by_time(of: Catalogue, protocol: str, data: st.DataObject):
    n = len(of.cases)
    other = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=n, max_size=n)), np.int8)
    moved = Catalogue(of.name, of.lines, of.cases.with_columns(label=pl.Series(other)), of.sources, of.timed)
    one, two = made(of, protocol, 0), made(moved, protocol, 0)
    if one is not None and two is not None:
        assert one.train.tolist() == two.train.tolist()
        assert one.test.tolist() == two.test.tolist()


@given(catalogues(), st.sampled_from(["random", "landauer:share=0.3", "ganfl", "ganfl-20", "time-usual"]))
def test_what_is_learned_as_usual_is_usual_by_label(of: Catalogue, protocol: str):
    parts = made(of, protocol, 0)
    if parts is not None:
        assert parts.labels == "cleaning"
        cases = of.case[parts.train]
        assert (of.case_label[cases[cases >= 0]] == 0).all()


@given(catalogues(), ALL, st.integers(0, 3))
def test_the_same_seed_makes_the_same_split(of: Catalogue, protocol: str, seed: int):
    one, two = made(of, protocol, seed), made(of, protocol, seed)
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert one.train.tolist() == two.train.tolist()


def sessions(usual: int, anomalous: int, whole: tuple[int, int] = (0, 0)) -> Catalogue:
    n = usual + anomalous
    label = np.repeat(np.array([0, 1], np.int8), [usual, anomalous])
    at = np.arange(n)
    lines = pl.DataFrame({"source": at * 0, "line": at + 1, "time_us": at * 1_000, "case": at, "label": label})
    cases = {"key": [str(i) for i in at], "first": at, "start": at * 1_000, "end": at * 1_000, "lines": at * 0 + 1}
    frame = pl.DataFrame(cases | {"label": label, "kind": [None] * n, "system": ["a"] * n})
    return Catalogue("made", as_lines(lines), frame.cast(dict(CASES)), ("a.log",), whole=whole)


@pytest.mark.parametrize(
    ("protocol", "usual", "anomalous"),
    [("random", 500, 0), ("ganfl", 300, 0), ("ganfl-20", 200, 0), ("landauer", 10, 0), ("contaminated", 500, 15)],
)
def test_shares_are_what_the_protocols_say(protocol: str, usual: int, anomalous: int):
    of = sessions(1_000, 100)
    parts = split(of, protocol)
    labels = of.label[parts.train]
    assert ((labels == 0).sum(), (labels == 1).sum()) == (usual, anomalous)
    assert len(parts.train) + len(parts.test) == 1_100


def test_a_labelled_random_split_draws_usual_and_anomalous_alike_and_shows_their_labels():
    of = sessions(1_000, 100)
    parts = split(of, "random-labelled:share=0.4")
    assert len(parts.train) == 440
    assert 25 <= (of.label[parts.train] == 1).sum() <= 55
    assert parts.labels == "learning"
    assert shows_labels("random-labelled")
    assert not parts.weigh
    assert split(of, "random-labelled", 0).train.tolist() != split(of, "random-labelled", 1).train.tolist()


def test_one_per_cent_is_of_the_whole_data_where_the_set_is_a_sample():
    assert len(split(sessions(11_151, 350, (558_223, 16_838)), "landauer").train) == 5_582


def test_another_seed_draws_other_sessions():
    of = sessions(100, 10)
    assert split(of, "random", 0).train.tolist() != split(of, "random", 1).train.tolist()


def test_a_session_that_goes_on_across_the_cut_is_not_judged():
    lines = pl.DataFrame({"source": [0] * 6, "line": range(1, 7), "time_us": range(6), "case": [0, 0, 1, 1, 2, 2]})
    lines = lines.with_columns(case=pl.Series([0, 0, 1, 0, 1, 2]), label=pl.lit(0))
    cases = pl.DataFrame(
        {
            "key": ["a", "b", "c"],
            "first": [0, 2, 5],
            "start": [0, 2, 5],
            "end": [3, 4, 5],
            "lines": [3, 2, 1],
            "label": [0, 0, 1],
            "kind": [None] * 3,
            "system": ["x"] * 3,
        }
    )
    parts = split(Catalogue("made", as_lines(lines), cases.cast(dict(CASES)), ("a",)), "time:share=0.5,gap=0")
    assert (parts.train.tolist(), parts.test.tolist()) == ([0, 1, 2], [5])


def test_every_system_is_left_out_once():
    of = sessions(10, 2)
    named = Catalogue(of.name, of.lines, of.cases.with_columns(system=pl.Series(["x", "y", "z"] * 4)), of.sources)
    left = [set(named.cases["system"].gather(split(named, "leave-one-system-out", s).test)) for s in range(3)]
    assert left == [{"x"}, {"y"}, {"z"}]
    with pytest.raises(ConfigError, match="has no system 'q'"):
        split(named, "leave-one-system-out:system=q")
    with pytest.raises(TooLittleDataError, match="needs two, and made has only 'a'"):
        split(of, "leave-one-system-out")


def test_options_are_read_and_strange_ones_refused():
    assert parse("time-usual:share=0.2") == ("time-usual", {"share": 0.2})
    with pytest.raises(ConfigError, match=r"1\.5 is no share"):
        split(sessions(9, 2), "random:share=1.5")
    with pytest.raises(ConfigError, match="It has none"):
        parse("given:share=0.2")
