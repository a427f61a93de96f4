"""Few bytes, and nothing lost for good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.errors import ConfigError
from oddlog.federated.quantise import DamagedError, Feedback, n_bytes, quantised, restored


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 700), st.sampled_from([2, 4, 8]), st.integers(0, 99))
def test_each_number_is_off_by_half_a_step_of_its_block_at_most(size, bits, seed):
    update = (np.random.default_rng(seed).normal(size=size) * 10).astype(np.float32)
    content = quantised(update, bits)
    assert len(content) == n_bytes(size, bits)
    step = np.abs(update).max(initial=0) / (2 ** (bits - 1) - 1)
    assert np.abs(restored(content, size, bits) - update).max(initial=0) <= step / 2 + 1e-5


def test_what_rounding_takes_away_comes_with_later_rounds():
    draw = np.random.default_rng(0)
    feedback, plain, came, alone = Feedback(4), np.zeros(500), np.zeros(500), np.zeros(500)
    for _ in range(30):
        update = (draw.normal(0.02, 1, 500)).astype(np.float32)
        plain += update
        came += restored(feedback.sent(update), 500, 4)
        alone += restored(quantised(update, 4), 500, 4)
    assert np.abs(came - plain).max() < 0.5
    assert np.abs(alone - plain).max() > 2 * np.abs(came - plain).max()


def test_eight_bits_are_a_quarter_of_float32():
    assert n_bytes(100_000, 8) < 0.26 * 400_000


@pytest.mark.parametrize(
    "content", [b"", bytes(519), np.float32([np.nan, 1]).tobytes() + bytes(512), b"\x00" * 8 + b"\xff" * 512]
)
def test_damaged_bytes_are_told(content):
    with pytest.raises(DamagedError):
        restored(content, 512)


def test_other_widths_are_refused():
    with pytest.raises(ConfigError, match="not written in 3 bits"):
        quantised(np.zeros(1, np.float32), 3)
