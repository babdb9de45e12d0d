"""What `sweep` returns, takes, refuses and leaves alone. Numbers are checked in test_engine_parity and _invariance."""

from __future__ import annotations

import os
import signal
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests import pretend_gpu
from tests.experiment.tasks import CLASSES, FEATURES, cnn, data, dropout_mlp, mlp, normed_mlp
from tricks_lib.experiment import engine
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.results import Results
from tricks_lib.experiment.settings import grid
from tricks_lib.experiment.statistics import paired
from tricks_lib.learning.dropout import Dropout
from tricks_lib.learning.losses import accuracy, cross_entropy
from tricks_lib.learning.optimizers import SGD, AdamW

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once

SINGLE = torch.get_default_dtype()
OPTIONS: dict[str, Any] = {"seeds": [5, 6, 7], "epochs": 2, "batch_size": 8}


def run(make_model: Any = mlp, sets: Any = None, settings: Any = ({},), **options: Any) -> Results:
    return sweep(make_model, data(dtype=SINGLE) if sets is None else sets, settings, **{**OPTIONS, **options})


def test_curves_have_a_place_for_everything() -> None:
    sets = {**data(dtype=SINGLE), "test": data(1, dtype=SINGLE)["val"]}
    results = run(sets=sets, settings=grid(lr=[0.1, 0.2]), epochs=5, eval_every=2)
    assert results.epochs == [2, 4, 5] and results.seeds == [5, 6, 7] and results.complete and results.models is None
    assert list(results.curves) == ["train_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy"]
    assert all(c.shape == (2, 3, 3) and c.dtype == np.float64 and np.isfinite(c).all() for c in results.curves.values())
    assert results.settings == [{"lr": 0.1}, {"lr": 0.2}] and results.last == [2, 2] and results.stacks == [6]


def test_settings_may_differ_in_length() -> None:
    results = run(settings=grid(epochs=[1, 3]), eval_every=2)
    assert results.epochs == [1, 2, 3] and results.last == [0, 2]
    long, short = results.curves["val_loss"][1, 0], results.curves["val_loss"][0, 0]
    assert np.isfinite(short).tolist() == [True, False, False] and np.isfinite(long).tolist() == [False, True, True]
    assert results.final("val_loss")[0, 0] == short[0] and results.final("val_loss")[1, 0] == long[2]


def test_no_epochs_evaluates_the_start() -> None:
    results = run(epochs=0, keep=True)
    assert results.epochs == [0] and np.isnan(results.curves["train_loss"]).all()
    torch.manual_seed(6)
    model, (x, y) = mlp(), data(dtype=SINGLE)["val"]
    assert results.final("val_loss")[0, 1] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-6)


def test_metrics_of_ones_own() -> None:
    def by_numpy(outputs: Tensor, target: Tensor) -> float:
        return float((outputs.numpy().argmax(1) == target.numpy()).mean())

    def in_torch(outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs.argmax(1) == target).to(outputs.dtype).mean()

    per_seed = lambda seed: data(seed, dtype=SINGLE)  # noqa: E731
    for sets in (None, per_seed):
        results = run(sets=sets, metrics={"a": by_numpy, "b": in_torch, "c": accuracy})
        a, b, c = (results.curves[f"val_{name}"] for name in "abc")
        np.testing.assert_allclose(a, b, rtol=1e-6)
        np.testing.assert_array_equal(b, c)
    with pytest.raises(ZeroDivisionError):
        run(metrics={"broken": lambda outputs, target: 1 / 0})


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.a, self.b = nn.Linear(FEATURES, 7), nn.Linear(7, CLASSES), nn.Linear(7, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x).tanh()
        return self.a(h), self.b(h)[:, 0]


def test_several_outputs_and_targets() -> None:
    def loss(outputs: Any, y: Tensor, size: Tensor, *, weight: float = 1.0) -> Tensor:
        return cross_entropy(outputs[0], y) + weight * (outputs[1] - size).square().mean()

    sets = {name: (x, y, x.norm(dim=1)) for name, (x, y) in data(dtype=SINGLE).items()}
    metrics = {
        "right": lambda outputs, y, size: accuracy(outputs[0], y),
        "error": lambda outputs, y, size: (outputs[1] - size).abs().mean(),
    }
    results = run(TwoHeads, sets, grid(lr=[0.1], weight=[0.0, 1.0]), loss=loss, metrics=metrics, epochs=20)
    right, error = results.final("val_right").mean(1), results.final("val_error").mean(1)
    assert right.min() > 0.5 and error[1] < 0.7 * error[0] and results.stacks == [6]


def test_the_loss_may_take_the_model() -> None:
    def attacked(model: Any, x: Tensor, y: Tensor, *, eps: float = 0.0) -> Tensor:
        direction = torch.func.grad(lambda x: cross_entropy(model(x), y))(x).sign()
        return cross_entropy(model(x + eps * direction), y)

    options: dict[str, Any] = {"epochs": 4}
    results = run(settings=grid(lr=[0.3], eps=[0.0, 0.5]), loss=attacked, **options)
    plain = run(settings=grid(lr=[0.3]), **options)
    np.testing.assert_allclose(results.final("val_loss")[0], plain.final("val_loss")[0], rtol=1e-5)
    assert (results.curves["train_loss"][1] > results.curves["train_loss"][0]).all()


def test_augmentation_may_mix_targets() -> None:
    def mixup(x: Tensor, y: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        soft, share = F.one_hot(y, CLASSES).to(x.dtype), torch.rand((), generator=generator)
        return torch.lerp(x, x.flip(0), share), torch.lerp(soft, soft.flip(0), share)

    results = run(settings=[{"lr": 0.3}, {"lr": 0.3, "augment": mixup}], epochs=10)
    assert results.stacks == [3, 3]
    assert (results.final("train_loss")[1] > results.final("train_loss")[0]).all()


def test_different_things_take_turns_behind_one_call() -> None:
    settings = [
        *grid(width=[3, 5], lr=[0.1, 0.2]),
        {"batch_size": 4},
        {"optimizer": AdamW, "beta1": 0.5},
        {"loss": nn.CrossEntropyLoss()},
        {"data": data(3, train=20, dtype=SINGLE)},
        {"schedule": lambda step: 0.5, "lr": 0.2},
    ]
    results = run(settings=settings)
    assert sorted(results.stacks) == [3, 3, 3, 3, 3, 6, 6]
    for i, setting in enumerate(settings):
        alone = run(settings=[setting])
        for name, values in alone.curves.items():
            np.testing.assert_array_equal(values[0], results.curves[name][i])


def test_stacks_are_equal_and_as_large_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = grid(lr=[0.1, 0.2, 0.3])
    assert run(settings=settings, max_stack=5).stacks == [4, 5]
    parameters = sum(p.numel() for p in mlp().parameters())
    for cached, stacks in {4 * parameters: [3, 3, 3], 2 * parameters - 1: [1] * 9, 1: [1] * 9}.items():
        monkeypatch.setattr(engine, "CACHED", cached)
        assert run(settings=settings, epochs=0).stacks == stacks


def test_models_of_all_stacks_are_kept() -> None:
    results = run(settings=grid(lr=[0.1, 0.2]), epochs=0, max_stack=4, keep=True)
    assert results.stacks == [3, 3] and results.models is not None
    assert all(model is not None for row in results.models for model in row)


def test_defaults_are_the_documented_ones() -> None:
    sets = data(train=34, dtype=SINGLE)
    results = sweep(mlp, sets, seeds=range(65), epochs=1)
    spelled = sweep(mlp, sets, seeds=[3], epochs=1, batch_size=32, optimizer=SGD, loss=cross_entropy, max_stack=64)
    assert results.stacks == [32, 33] and results.models is None
    assert results.curves["train_loss"][0, 3] == spelled.curves["train_loss"][0, 0]
    assert list(results.curves) == ["train_loss", "val_loss", "val_accuracy"]


def test_kept_models_are_ordinary_modules() -> None:
    x, y = data(dtype=SINGLE)["val"]
    results = run(normed_mlp, settings=grid(lr=[0.1, 0.5], momentum=[0.9]), keep=True)
    assert results.models is not None
    seen = set()
    for i in range(2):
        for j in range(3):
            model = results.models[i][j]
            assert type(model) is nn.Sequential and not model.training
            assert model[0].weight.shape == (9, FEATURES) and model[0].weight.is_leaf and model[0].weight.requires_grad
            assert model[1].num_batches_tracked.item() == 2 * 6
            assert results.final("val_loss")[i, j] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-5)
            model.train()(x).sum().backward()
            seen.add(model[0].weight.data_ptr())
    assert len(seen) == 6


@pytest.mark.parametrize("make_model", [dropout_mlp, normed_mlp, cnn])
def test_on_a_device(make_model: Any, device: torch.device) -> None:
    sets = data(dtype=SINGLE, image=make_model is cnn)
    options: dict[str, Any] = {
        "settings": grid(lr=[0.1], label_smoothing=[0.1], max_norm=[1.0], ema=[0.5]),
        "keep": True,
    }
    options["augment"] = lambda x, *, generator: x + torch.rand(1, generator=generator).to(x.device)
    there, here = run(make_model, sets, device=device, **options), run(make_model, sets, **options)
    for name, values in here.curves.items():
        np.testing.assert_allclose(there.curves[name], values, rtol=1e-4)
    assert there.models is not None
    for state in (there.models[0][0].state_dict(),):  # type: ignore[union-attr]
        assert all(t.device.type == device.type for t in state.values())
    moved = {name: tuple(t.to(device) for t in part) for name, part in sets.items()}
    again = run(make_model, moved, **options)  # without device=, it is that of the data
    for name, values in there.curves.items():
        np.testing.assert_array_equal(again.curves[name], values)


def test_data_from_the_global_generator_do_not_depend_on_other_seeds() -> None:
    def careless(seed: int) -> Any:
        return {"train": (torch.randn(9, FEATURES), torch.arange(9) % CLASSES), "val": data(dtype=SINGLE)["val"]}

    before = torch.get_rng_state()
    together = run(sets=careless)
    assert torch.equal(before, torch.get_rng_state())
    for j, seed in enumerate(together.seeds):
        torch.rand(3)
        np.testing.assert_array_equal(
            run(sets=careless, seeds=[seed]).final("val_loss")[:, 0], together.final("val_loss")[:, j]
        )
    assert len(set(together.final("val_loss")[0])) == 3


def test_gradients_need_not_be_switched_on() -> None:
    expected = run()
    with torch.no_grad():
        np.testing.assert_array_equal(run().curves["train_loss"], expected.curves["train_loss"])


def test_data_as_a_function_of_the_seed() -> None:
    asked = []

    def make(seed: int) -> Any:
        asked.append(seed)
        return data(seed, dtype=SINGLE)

    results = run(sets=make, settings=grid(lr=[0.1, 0.2]))
    assert asked == [5, 6, 7]
    for j, seed in enumerate(asked):
        alone = run(sets=data(seed, dtype=SINGLE), settings=grid(lr=[0.1, 0.2]), seeds=[seed])
        np.testing.assert_allclose(results.final("val_loss")[:, j], alone.final("val_loss")[:, 0], rtol=1e-6)


def test_an_interrupt_returns_what_is_finished() -> None:
    def stop(step: int) -> float:
        raise KeyboardInterrupt

    results = run(settings=[{"lr": 0.1}, {"lr": 0.2, "batch_size": 4, "schedule": stop}], keep=True)
    assert not results.complete and "INTERRUPTED" in repr(results)
    expected = run(settings=[{"lr": 0.1}])
    np.testing.assert_array_equal(results.curves["val_loss"][0], expected.curves["val_loss"][0])
    assert np.isnan(results.final("val_loss")[1]).all()
    assert results.models is not None and results.models[1] == [None] * 3 and results.models[0][0] is not None


@pytest.mark.parametrize("call", [0, 5, 9, 10, 17, 23])
def test_no_number_of_a_half_trained_model_gets_into_a_comparison(call: int) -> None:
    """Ctrl-C in one of 24 evaluations: 2 groups, 4 epochs, 3 seeds."""
    calls = 0

    def interrupted(outputs: Tensor, target: Tensor) -> float:
        nonlocal calls
        float(outputs.sum())  # no model can be mapped: it is called for each
        calls += 1
        if calls == call + 1:
            signal.raise_signal(signal.SIGINT)
        return float(accuracy(outputs, target))

    options: dict[str, Any] = {"settings": grid(width=[5, 9]), "epochs": 4, "max_stack": 3}
    metrics = {"loss": cross_entropy, "accuracy": interrupted}
    results = run(metrics=metrics, keep=True, **options)
    calls = 24
    whole = run(metrics=metrics, **options)
    assert whole.complete and not results.complete
    finished = call >= 12
    for name in ("val_loss", "val_accuracy"):
        for pick in (lambda r, name=name: r.final(name), lambda r, name=name: r.best(name)):
            got, expected = pick(results), pick(whole)
            np.testing.assert_array_equal(got[0], expected[0] if finished else [np.nan] * 3)
            assert np.isnan(got[1]).all()
            with pytest.raises(ValueError, match="non-finite"):
                paired(got[0], got[1])
        np.testing.assert_array_equal(results.where(width=9).best(name), [[np.nan] * 3])
    done = call // 3 if not finished else 4  # what was measured before can still be looked at
    assert np.isfinite(results.curves["val_loss"][0]).sum() == 3 * done
    assert (results.models is not None) == finished


def test_an_interrupt_before_anything_is_finished() -> None:
    def stop() -> nn.Module:
        raise KeyboardInterrupt

    results = run(stop)
    assert not results.complete and np.isnan(results.final("val_loss")).all()


def test_random_state_and_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    results = [run(dropout_mlp, lambda seed: data(seed, dtype=SINGLE))]
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ZeroDivisionError):
        run(metrics={"broken": lambda outputs, target: 1 / 0})
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    monkeypatch.setenv("TRICKS_SEED", "77")
    monkeypatch.setattr(os, "environ", {**os.environ})
    results.append(run(dropout_mlp, lambda seed: data(seed, dtype=SINGLE)))
    np.testing.assert_array_equal(*(r.curves["val_loss"] for r in results))


def test_inputs_are_left_alone() -> None:
    sets, setting = data(dtype=SINGLE), {"lr": 0.5, "label_smoothing": 0.1}
    copies = {name: tuple(t.clone() for t in part) for name, part in sets.items()}
    given_settings = [setting]
    run(normed_mlp, sets, given_settings)
    assert given_settings == [{"lr": 0.5, "label_smoothing": 0.1}]
    assert all(torch.equal(a, b) for name in sets for a, b in zip(sets[name], copies[name], strict=True))


def test_draws_from_the_global_generator_are_refused() -> None:
    with pytest.raises(RuntimeError, match="torch's global generator, so that results would depend on what else"):
        run(augment=lambda x, *, generator: x + torch.rand(x.shape))
    with pytest.raises(RuntimeError) as caught:
        run(lambda: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.Dropout(0.5)))
    assert "tricks_lib.learning.dropout" in caught.value.__notes__[0]


def test_models_that_cannot_be_stacked_are_pointed_out() -> None:
    def make_model() -> nn.Module:
        class Local(nn.Linear):
            pass

        return Local(FEATURES, CLASSES)

    with pytest.warns(UserWarning, match="no two of the 9 models can be stacked: does make_model define classes") as w:
        results = sweep(make_model, data(dtype=SINGLE), seeds=range(9), epochs=0)
    assert results.stacks == [1] * 9 and [one.filename for one in w] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_model, seeds=range(8), epochs=0)


SHARED = mlp()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seeds": []}, ValueError, r"seeds must be different, and at least one, got \[\]"),
        ({"seeds": [1, 2, 1]}, ValueError, r"seeds must be different.*got \[1, 2, 1\]"),
        ({"seeds": 3}, TypeError, "seeds must be a list of whole numbers, got 3"),
        ({"seeds": [0.5]}, TypeError, r"seeds must be a list of whole numbers, got \[0.5\]"),
        ({"settings": []}, ValueError, "settings must hold at least one setting"),
        ({"settings": [{"lr": 0.1}, {"speed": 1}]}, TypeError, r"settings\[1\]: nobody takes 'speed'"),
        ({"epochs": -1}, ValueError, "epochs must be a whole number, at least 0, got -1"),
        ({"epochs": 1.5}, ValueError, "epochs must be a whole number, at least 0, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number, at least 1, got 0"),
        (
            {"settings": [{}, {"batch_size": 0}]},
            ValueError,
            r"settings\[1\]: batch_size must be a whole number, at least 1, got 0",
        ),
        ({"eval_every": 0}, ValueError, "eval_every must be a whole number, at least 1, got 0"),
        ({"max_stack": 0}, ValueError, "max_stack must be a whole number, at least 1, got 0"),
        ({"sets": {"val": ()}}, TypeError, "data must be a dict with 'train'"),
        ({"make_model": lambda: SHARED}, ValueError, "make_model must return a new model with each call"),
        ({"optimizer": torch.optim.SGD}, TypeError, "optimizer must be a class such as"),
        ({"loss": nn.CrossEntropyLoss}, TypeError, r"loss is a class: write CrossEntropyLoss\(\)"),
        ({"loss": None}, TypeError, "loss must be a function, got None"),
        ({"make_model": nn.Flatten}, ValueError, "a model needs parameters to train, all of one type, got none$"),
        ({"settings": [{"schedule": 0.5}]}, TypeError, "schedule must be a function, got 0.5"),
        ({"augment": nn.Identity}, TypeError, r"augment is a class: write Identity\(\)"),
        (
            {"metrics": {"right": lambda outputs, target: outputs.argmax(1) == target}},
            TypeError,
            "metric 'right' must return one number, got ",
        ),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        run(**options)


def test_numbers_from_numpy_are_numbers() -> None:
    results = run(settings=grid(lr=np.logspace(-2, -1, 2), batch_size=np.array([4, 8])), seeds=np.arange(3))
    assert results.seeds == [0, 1, 2] and np.isfinite(results.final("val_loss")).all()


def test_rates_of_dropout_share_a_stack_and_act() -> None:
    def make_model(p: float) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, 60), nn.ReLU(), Dropout(p), nn.Linear(60, CLASSES))

    results = run(make_model, settings=grid(p=[0.0, 0.5, 0.9], lr=[0.2]), epochs=10)
    assert results.stacks == [9]
    assert (np.diff(results.final("train_loss"), axis=0) > 0).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 50), st.integers(1, 12), st.integers(1, 3))
def test_any_sizes(train: int, batch_size: int, seeds: int) -> None:
    results = run(sets=data(train=train, val=3, dtype=SINGLE), seeds=range(seeds), batch_size=batch_size, epochs=1)
    assert np.isfinite(results.final("val_loss")).all() and results.final("val_loss").shape == (1, seeds)


def test_it_says_which_arms_start_from_other_values() -> None:
    def network(hidden: int = 4, scale: float = 1.0) -> nn.Module:
        model = nn.Sequential(nn.Flatten(), nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 2))
        with torch.no_grad():
            model[1].bias.mul_(scale)
        return model

    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    data = {"train": (x, (x[:, 0] > 0).long()), "test": (x, (x[:, 0] > 0).long())}
    arms = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1, "scale": 2.0}, {"lr": 0.1, "hidden": 5}]
    results = sweep(network, data, arms, seeds=[1, 2], epochs=1)
    # another width: no parameter of the same name and shape but the last bias, drawn after more numbers
    assert results.same_start == [True, True, False, False]
    assert "started from other values than the first: lr=0.1, scale=2; lr=0.1, hidden=5" in repr(results)
    assert "started" not in repr(results.where(lr=0.2)) and results.where(lr=0.2).same_start == [True]
