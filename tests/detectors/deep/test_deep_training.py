"""detectors/deep/training.py: one loop, stopped and gone on from at any moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
checkpoints = pytest.importorskip("oddlog.detectors.deep.checkpoints")
training = pytest.importorskip("oddlog.detectors.deep.training")

RECIPE = training.Recipe(rate=1e-2, batch=8, steps=120, seed=3)


class Killed(BaseException):
    """As if the process had been ended in the midst of a step."""


def examples(n: int = 64, *, nan_from: int | None = None) -> training.Examples:
    """Rows x [n, 4] whose fifth column is a sum of them; loading counts how often it was asked."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(n, 4)).astype(np.float32)
    y = (x @ np.array([1, -2, 3, 0.5], np.float32))[:, None]
    calls = 0

    def load(index):
        nonlocal calls
        calls += 1
        shown = np.full_like(x[index], np.nan) if nan_from is not None and calls >= nan_from else x[index]
        return torch.from_numpy(shown), torch.from_numpy(y[index])

    return training.Examples(np.ones(n, np.int64), np.ones(n), load)


def loss(model, batch, noise):
    x, y = batch
    if noise is not None:
        x = x + 0.01 * torch.randn(x.shape, generator=noise)
    return ((model(x) - y) ** 2).mean(1)


def network() -> torch.nn.Module:
    with training.seeded(7):
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def trained(recipe=RECIPE, folder: Path | None = None, given=None, say=None):
    model = network()
    history = training.train(model, loss, given or examples(), examples(16), recipe, folder=folder, say=say)
    return training.weights_of(model), history


def same(one, other) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_it_learns_and_keeps_the_best_weights():
    weights, history = trained()
    assert history.best < 0.2 * history.losses[0][1]
    model = network()
    training.set_weights(model, weights)
    assert training.average_loss(model, loss, examples(16)) == history.best
    assert history.best == min(value for _, value in history.losses)


def test_the_same_seed_gives_the_same_bits_and_another_others():
    assert same(trained()[0], trained()[0])
    assert not same(trained()[0], trained(replace(RECIPE, seed=4))[0])


def test_torch_s_own_generator_and_settings_stay_as_they_were():
    torch.manual_seed(11)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    trained()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("n", [1, 13, 60, 119])
def test_killed_at_any_step_it_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int):
    whole, history = trained()
    steps = 0
    real = torch.optim.Adam.step

    def dying(self, *given):
        nonlocal steps
        steps += 1
        if steps == n:
            raise Killed
        return real(self, *given)

    monkeypatch.setattr(torch.optim.Adam, "step", dying)
    with pytest.raises(Killed):
        trained(folder=tmp_path)
    monkeypatch.undo()
    resumed, again = trained(folder=tmp_path)
    assert same(whole, resumed)
    assert again == history


def test_it_resumes_from_where_it_was_and_not_from_the_start(tmp_path: Path):
    told: list[int] = []

    def dying(step, _steps, _loss):
        told.append(step)
        if step >= 60:
            raise Killed

    with pytest.raises(Killed):
        trained(folder=tmp_path, say=dying)
    again: list[int] = []
    trained(folder=tmp_path, say=lambda step, _steps, _loss: again.append(step))
    assert told == [0, 12, 24, 36, 48, 60]
    assert again == [60, 72, 84, 96, 108, 120]  # that of step 60 was told, but not yet written down


def test_killed_while_a_checkpoint_is_written_the_one_before_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, _ = trained()
    real, calls = checkpoints.os.fsync, 0

    def dying(number):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        real(number)

    monkeypatch.setattr(checkpoints.os, "fsync", dying)
    with pytest.raises(Killed):
        trained(folder=tmp_path)
    monkeypatch.undo()
    assert same(whole, trained(folder=tmp_path)[0])


def test_a_finished_training_is_not_done_again(tmp_path: Path):
    first, history = trained(folder=tmp_path)
    told: list[int] = []
    second, again = trained(folder=tmp_path, say=lambda step, _steps, _loss: told.append(step))
    assert same(first, second)
    assert (told, again) == ([], history)


@pytest.mark.parametrize("other", [replace(RECIPE, rate=2e-2), replace(RECIPE, seed=4)])
def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path: Path, other):
    trained(other, folder=tmp_path)
    assert same(trained(folder=tmp_path)[0], trained()[0])


def test_a_checkpoint_of_other_examples_is_not_gone_on_from(tmp_path: Path):
    trained(folder=tmp_path, given=examples(32))
    assert same(trained(folder=tmp_path)[0], trained()[0])


def test_a_loss_that_is_no_number_stops_says_why_and_keeps_the_last_good_weights():
    fewer = replace(RECIPE, steps=60)
    kept, good = trained(fewer)
    weights, history = trained(fewer, given=examples(nan_from=50))
    assert history.stopped == (
        f"the loss was not a number in step 50; the weights of step {history.best_step} are kept"
    )
    assert 40 <= history.best_step < 50
    assert all(np.isfinite(value).all() for value in weights.values())
    assert history.losses == good.losses[: len(history.losses)]
    assert not same(kept, weights)


def test_a_rate_that_blows_up_leaves_finite_weights():
    weights, history = trained(replace(RECIPE, rate=1e30))
    assert "not a number" in history.stopped
    assert all(np.isfinite(value).all() for value in weights.values())
    assert history.best_step == 0


def test_it_ends_when_patience_does():
    _, history = trained(replace(RECIPE, rate=1e-9, steps=500, patience=2))
    assert history.stopped.startswith("2 validations in a row were no better than step")
    assert history.losses[-1][0] < 500


def test_budgets_of_epochs_and_cells_are_counted_not_measured():
    steps: set[int] = set()

    def say(_step, planned, _loss):
        steps.add(planned)

    trained(replace(RECIPE, steps=10_000, epochs=50, rate=1e-4, patience=10**6), say=say)
    assert steps == {400}  # 50 x 8 batches
    steps.clear()
    trained(replace(RECIPE, steps=10_000, cells=4, epochs=50, rate=1e-4, patience=10**6), say=say)
    assert steps == {800}  # 50 x 16 batches
    steps.clear()
    trained(replace(RECIPE, steps=1_000, epochs=1, rate=1e-4, patience=10**6), say=say)
    assert steps == {training.FEWEST_STEPS}


def test_a_summary_is_json_without_nan():
    history = training.History([(0, float("nan"))], 0, "why")
    assert history.summary() == {"steps": 0, "best_step": 0, "loss": None, "stopped": "why"}
