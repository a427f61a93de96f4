"""detectors/lstm.py, cnn.py, next_event.py: what the networks on sequences share, as members."""

from __future__ import annotations

import pytest

from oddlog.detectors import create
from oddlog.detectors.cnn import ConvolutionalAutoencoder
from oddlog.detectors.lstm import LstmAutoencoder
from oddlog.detectors.next_event import NextEvent
from oddlog.testing import check_detector
from oddlog.types import Detector

pytest.importorskip("torch")
pytest.importorskip("onnx")

QUICK = {
    "lstm": lambda: LstmAutoencoder(width=16, summary=8, steps=60, batch=32, seed=5),
    "cnn": lambda: ConvolutionalAutoencoder(width=16, steps=60, batch=32, seed=5),
    "next-event": lambda: NextEvent(embedding=8, width=16, steps=60, batch=32, rate=1e-2, seed=5),
}


def quick(name: str) -> Detector:
    """A small network, trained for long enough to tell planted windows from usual ones."""
    return QUICK[name]()


@pytest.mark.parametrize("name", QUICK)
def test_every_network_keeps_the_contract(name: str):
    check_detector(lambda: quick(name))


@pytest.mark.parametrize("name", QUICK)
def test_a_network_is_found_by_its_name_and_says_how_it_is_calibrated(name: str):
    made = create(name, seed=9)
    assert (made.name, made.calibrates, made.seed) == (name, "holdout", 9)
