"""Answers act on what ends after them, and on nothing else."""

from __future__ import annotations

import pytest

from made_sets import write_made_set
from oddlog.datasets import LogSet, read_set
from oddlog.evaluation.catalogue import Catalogue, catalogue
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.evaluation.prequential import after_answers

CELL = Cell("jobs", "time-usual", "new-event", answers=10)


@pytest.fixture(scope="module")
def with_news(tmp_path_factory: pytest.TempPathFactory) -> LogSet:
    """The made set, in whose later half four usual jobs compact tables, which none did before."""
    of = read_set(write_made_set(tmp_path_factory.mktemp("sets") / "jobs"))
    text = (of.root / "jobs.log").read_text()
    for number in (130, 150, 170, 190):
        text = text.replace(f"[job-{number:04d}] commit", f"[job-{number:04d}] compact tables")
    (of.root / "jobs.log").write_text(text)
    return of


@pytest.fixture(scope="module")
def listed(with_news: LogSet) -> Catalogue:
    return catalogue(with_news)


@pytest.fixture(scope="module")
def done(with_news: LogSet, listed: Catalogue) -> Outcome:
    return run(CELL, with_news, listed)


def test_the_first_false_alarm_counts_and_its_answer_covers_the_later_ones(done: Outcome, listed: Catalogue):
    told = after_answers(list(done.parts), done.rows, listed, (0, 0), 10)
    assert [(one["false_alarms"], one["wrongly_muted"]) for one in told] == [(4, 0), (1, 0)]
    assert told[0]["f1"] == pytest.approx(20 / 24)
    assert told[1]["f1"] == pytest.approx(20 / 21)


def test_no_more_answers_are_given_than_asked_for(done: Outcome, listed: Catalogue):
    assert len(after_answers(list(done.parts), done.rows, listed, (0, 0), 0)) == 1


def test_an_answer_that_hides_anomalies_is_counted_against_it(done: Outcome, listed: Catalogue):
    """Where the labels call the first broken job usual, the answer to it hides all others."""
    first = listed.cases.filter(label=1, start=listed.cases.filter(label=1)["start"].gather([10]))["key"][0]
    mislabelled = listed.cases.with_columns(label=(listed.cases["label"] * (listed.cases["key"] != first)))
    other = Catalogue(listed.name, listed.lines, mislabelled, listed.sources, choice=listed.choice)
    last = after_answers(list(done.parts), done.rows, other, (0, 0), 10)[-1]
    assert last["wrongly_muted"] == 9
    assert last["recall"] == 0.0


def test_without_times_nothing_is_early_or_late(done: Outcome, listed: Catalogue):
    untimed = Catalogue(listed.name, listed.lines, listed.cases, listed.sources, timed=False)
    assert after_answers(list(done.parts), done.rows, untimed, (0, 0), 10) == []
