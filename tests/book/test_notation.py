"""What the notation page says about torch is what torch does, and what it says about claims is what claims do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from tricks_lib.data.looking import mean_std
from tricks_lib.experiment import claims
from tricks_lib.experiment.statistics import paired

PAGE = (Path(__file__).resolve().parents[2] / "book/reference/notation.md").read_text("utf8")


@pytest.fixture
def x(rng):
    return torch.randn(7, 3, generator=rng, dtype=torch.float64)


def steps(optimizer, w, gradients):
    for g in gradients:
        w.grad = g.clone()
        optimizer.step()
    return w.detach()


def test_a_linear_layer_stores_the_transpose(x):
    layer = nn.Linear(3, 5, dtype=torch.float64)
    assert layer.weight.shape == (5, 3)
    assert torch.allclose(layer(x), x @ layer.weight.T + layer.bias, rtol=0, atol=1e-15)


def test_fans_are_read_from_the_stored_shape():
    fans = nn.init._calculate_fan_in_and_fan_out
    assert fans(nn.Linear(3, 5).weight) == (3, 5)
    assert fans(nn.Conv2d(3, 5, (2, 7)).weight) == (3 * 2 * 7, 5 * 2 * 7)


def test_moments_divide_by_the_number_of_samples(x):
    mean, std = mean_std(x)
    assert torch.allclose(mean, x.sum(0) / 7, rtol=0, atol=1e-15)
    assert torch.allclose(std**2, ((x - mean) ** 2).sum(0) / 7, rtol=0, atol=1e-15)
    assert torch.allclose(x.var(0, correction=0), std**2, rtol=0, atol=1e-15)
    assert torch.allclose(x.var(0), std**2 * 7 / 6, rtol=0, atol=1e-15)


def test_scikit_learn_divides_by_the_number_of_samples(x):
    from sklearn.preprocessing import StandardScaler

    assert torch.allclose(torch.from_numpy(StandardScaler().fit(x.numpy()).var_), x.var(0, correction=0), atol=1e-15)


def test_batch_normalization_divides_by_both_and_its_momentum_weighs_the_new_value(x):
    layer = nn.BatchNorm1d(3, eps=1e-30, momentum=0.25, dtype=torch.float64)
    assert torch.allclose(layer(x).var(0, correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.allclose(layer.running_var, 0.75 + 0.25 * x.var(0), rtol=0, atol=1e-15)


def test_dropout_names_the_share_that_it_drops():
    kept = nn.functional.dropout(torch.ones(10_000), p=0.2).unique()
    assert kept.tolist() == [0, 1.25]


def test_the_learning_rate_stands_outside_of_the_momentum_sum(x):
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    m, expected = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for t, g in enumerate(x):
        optimizer.param_groups[0]["lr"] = lr = 0.1 / (t + 1)
        steps(optimizer, w, [g])
        m = 0.9 * m + g
        expected = expected - lr * m
    assert torch.allclose(w, expected, rtol=0, atol=1e-14)


def test_both_forms_of_momentum_agree_while_the_learning_rate_stays(x):
    w = steps(torch.optim.SGD([p := torch.zeros(3, dtype=torch.float64)], lr=0.1, momentum=0.9), p, x)
    m, other = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for g in x:
        m = 0.9 * m - 0.1 * g
        other = other + m
    assert torch.allclose(w, other, rtol=0, atol=1e-14)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_weight_decay_is_the_gradient_of_half_the_squared_norm(optimizer, x):
    start = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    w, v = start.clone(), start.clone().requires_grad_()
    for g in x:
        steps(optimizer([w], lr=0.1, weight_decay=0.3), w, [g])
        penalized = (0.3 / 2 * v.square().sum() + g @ v).backward
        v.grad = None
        penalized()
        optimizer([v], lr=0.1).step()
    assert torch.allclose(w, v, rtol=0, atol=1e-14)


def test_decoupled_decay_shrinks_the_weights_by_rate_times_decay():
    w = torch.tensor([1.0, -2.0], dtype=torch.float64)
    steps(torch.optim.AdamW([w], lr=0.1, weight_decay=0.3), w, [torch.zeros(2, dtype=torch.float64)])
    assert torch.allclose(w, torch.tensor([0.97, -1.94], dtype=torch.float64), rtol=0, atol=1e-15)


def test_decay_and_penalty_are_the_same_for_plain_descent_only(x):
    for momentum, same in ((0.0, True), (0.9, False)):
        w, v = torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        coupled = torch.optim.SGD([w], lr=0.1, momentum=momentum, weight_decay=0.3)
        plain = torch.optim.SGD([v], lr=0.1, momentum=momentum)
        for g in x:
            steps(coupled, w, [g])
            v.mul_(1 - 0.1 * 0.3)
            steps(plain, v, [g])
        assert torch.allclose(w, v, rtol=0, atol=1e-14) == same


def test_a_schedule_multiplies_the_rate_and_counts_from_zero():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    rates = []
    for _ in range(3):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == [0.5, 0.25, 0.5 / 3]


def test_losses_are_means_in_nats():
    loss = nn.functional.cross_entropy(torch.zeros(4, 7, dtype=torch.float64), torch.tensor([0, 1, 2, 3]))
    assert loss.item() == pytest.approx(torch.tensor(7, dtype=torch.float64).log().item(), abs=1e-15)


def test_the_interval_is_the_one_of_the_page():
    from scipy import stats

    a, b = [3.0, 5.0, 4.5, 7.0, 6.5], [2.0, 4.5, 2.5, 6.0, 4.0]
    d = torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)
    half = stats.t.ppf(0.975, 4) * d.std().item() / 5**0.5
    made = paired(a, b)
    assert (made.low, made.high) == pytest.approx((d.mean().item() - half, d.mean().item() + half), abs=1e-12)


def test_the_page_lists_every_kind_of_claim():
    listed = re.findall(r"^\| `(\w+)` \| \w+", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(get_args(claims.Kind))
