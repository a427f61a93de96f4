"""The members that need no extra, on real sessions: the benchmark's figures do not slip."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from oddlog.detectors.neighbour import ScaledNearestNeighbour
from oddlog.detectors.trim import trim


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "hdfs_members.py"
    spec = importlib.util.spec_from_file_location("hdfs_members", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hdfs_members"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hdfs(bench: ModuleType, shared_data: Path):
    return bench.read(shared_data / "hdfs")


def auc_of_neighbour(bench: ModuleType, hdfs, train, test) -> float:
    fitted = ScaledNearestNeighbour().fit(hdfs.windows.take(train), hdfs.context)
    scores = fitted.score(hdfs.windows.take(test)).window
    return bench.roc_auc(scores, hdfs.label[test], np.ones(len(test)))


def test_usual_sessions_tell_the_anomalous_ones_apart(bench: ModuleType, hdfs):
    usual = np.random.default_rng(0).permutation(np.flatnonzero(hdfs.label == 0))
    train = np.sort(usual[:5_583])
    test = np.setdiff1d(np.arange(len(hdfs.label)), train)
    assert len(hdfs.label) == 11_501
    assert auc_of_neighbour(bench, hdfs, train, test) > 0.999
    keep, _ = trim(hdfs.windows.take(train), hdfs.context)
    assert keep.all()


@pytest.mark.parametrize("seed", range(3))
def test_anomalies_in_training_are_trimmed(bench: ModuleType, hdfs, seed: int):
    order = np.random.default_rng(seed).permutation(len(hdfs.label))
    train, test = order[:5_750], order[5_750:]
    keep, report = trim(hdfs.windows.take(train), hdfs.context)
    assert 0.025 < report.share < 0.04
    assert hdfs.label[train][keep].sum() == 0
    assert auc_of_neighbour(bench, hdfs, train, test) < 0.9
    assert auc_of_neighbour(bench, hdfs, train[keep], test) > 0.995
