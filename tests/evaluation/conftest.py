from __future__ import annotations

import pytest

from made_sets import write_made_set
from oddlog.datasets import LogSet, read_set
from oddlog.evaluation.catalogue import Catalogue, catalogue


@pytest.fixture(scope="session")
def made_set(tmp_path_factory: pytest.TempPathFactory) -> LogSet:
    return read_set(write_made_set(tmp_path_factory.mktemp("sets") / "jobs"))


@pytest.fixture(scope="session")
def made_catalogue(made_set: LogSet) -> Catalogue:
    return catalogue(made_set)
