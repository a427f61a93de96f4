from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.datasets.simulator.writing import Lines, LogFiles, written_aside

STRETCHES = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=12), max_size=4)


@settings(max_examples=60, deadline=None)
@given(STRETCHES)
def test_stretches_written_one_after_the_other_give_one_file_in_the_order_of_time(stretches):
    # stretch i holds lines from 10 * i on; some run far into later stretches
    rows = [(10 * i + late, mark) for i, stretch in enumerate(stretches) for late, mark in stretch]
    named = [(time, mark, f"{number} at {time}") for number, (time, mark) in enumerate(rows)]
    expected = sorted(named, key=lambda row: row[0])  # stable: equal times in the order they were made
    with tempfile.TemporaryDirectory() as folder:
        found = []
        with LogFiles(Path(folder) / "logs", ("db",)) as files:
            made = iter(named)
            for i, stretch in enumerate(stretches):
                page = Lines()
                for _ in stretch:
                    time, mark, text = next(made)
                    page.add(np.array([time]), [text], mark)
                until = None if i == len(stretches) - 1 else 10 * (i + 1)
                for service, line, mark in files.take({"db": page}, until):
                    assert service == "db"
                    found += zip(line.tolist(), mark.tolist(), strict=True)
        text = (Path(folder) / "logs" / "db.log").read_text()
    assert text.splitlines() == [name for _, _, name in expected]
    assert found == [(i, mark) for i, (_, mark, _) in enumerate(expected, start=1) if mark]


def test_a_folder_written_aside_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "shop"
    with written_aside(target) as aside:
        (aside / "a.log").write_text("one line\n")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a.log"]
    assert [path.name for path in target.parent.iterdir()] == ["shop"]


def test_an_empty_folder_is_taken(tmp_path):
    target = tmp_path / "shop"
    target.mkdir()
    with written_aside(target) as aside:
        (aside / "a.log").write_text("one line\n")
    assert (target / "a.log").read_text() == "one line\n"
