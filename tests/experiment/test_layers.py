"""The forward pass of many models against each model alone: value, gradient and statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import pretend_gpu
from tricks_lib.experiment import layers
from tricks_lib.experiment.layers import ELEMENTWISE, Layers, named_tensors
from tricks_lib.learning.draws import ModelStreams
from tricks_lib.learning.dropout import Dropout

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once

MODELS, SAMPLES = 3, 4


class Block(nn.Module):
    """No Sequential: mapped as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), Dropout(0.4))
        self.scale = nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.inner(x)  # type: ignore[no-any-return]


def tied() -> nn.Module:
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Sequential(nn.Linear(5, 2, bias=False)))


def convolutional() -> nn.Module:
    first = [nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 6, (1, 2), bias=False)]
    return nn.Sequential(*first, nn.BatchNorm2d(6), nn.MaxPool2d(2, 1), nn.Conv2d(6, 3, 2, dilation=1), nn.Flatten())


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 2), (5,)),
    "sequence": (lambda: nn.Sequential(nn.Linear(5, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)), (6, 5)),
    "block": (lambda: nn.Sequential(Block(), nn.BatchNorm1d(5), nn.Sequential(nn.GELU(), Block())), (5,)),
    "tied": (tied, (5,)),
    "dropout": (lambda: nn.Sequential(Dropout(0.2), nn.Linear(5, 7), Dropout(0.6)), (5,)),
    "images with dropout": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), Dropout(0.5), nn.Flatten()), (2, 3, 4)),
    "convolutional": (convolutional, (2, 8, 9)),
    "reflected": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 5, 4)),
    "same": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.AvgPool2d(2), nn.GroupNorm(1, 3)), (2, 5, 4)),
    "average": (lambda: nn.Sequential(nn.Conv2d(1, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (1, 5, 4)),
    "first elementwise": (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 2)), (5,)),
}


def models(name: str, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    torch.manual_seed(4)
    return [NETWORKS[name][0]().to(dtype) for _ in range(MODELS)]


def inputs(name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.randn(MODELS, SAMPLES, *NETWORKS[name][1], generator=rng, dtype=dtype)


def together(several: list[nn.Module], device: Any = "cpu") -> dict[str, Tensor]:
    tensors = [named_tensors(model) for model in several]
    stacked = {name: torch.stack([t[name].detach() for t in tensors]).to(device) for name in tensors[0]}
    return {
        name: t.requires_grad_() if name in dict(several[0].named_parameters()) else t for name, t in stacked.items()
    }


def differentiate(outputs: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape).to(outputs.device)
    return [outputs.detach(), *torch.autograd.grad((weights * outputs).sum(), leaves)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_each_model_alone(name: str, training: bool) -> None:
    several, x = models(name), inputs(name)
    tensors = together(several)
    names = [n for n, _ in several[0].named_parameters()]
    template = copy.deepcopy(several[0]).train(training)
    xs = x.clone().requires_grad_()
    with ModelStreams([7, 8, 9]).at(1):
        outputs = Layers(template)(tensors, xs if "first" not in name else xs * 1)
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=x.dtype).view(outputs.shape)
    found = [outputs.detach(), *torch.autograd.grad((weights * outputs).sum(), [xs, *(tensors[n] for n in names)])]
    for k, model in enumerate(several):
        model.train(training)
        own = x[k].clone().requires_grad_()
        with ModelStreams([7 + k]).at(1):
            alone = model(own if "first" not in name else own * 1)
        gradients = torch.autograd.grad((weights[k] * alone).sum(), [own, *(p for _, p in model.named_parameters())])
        for a, b in zip(found, [alone, *gradients], strict=True):
            torch.testing.assert_close(a[k], b, rtol=1e-11, atol=1e-11)
        for n, buffer in model.named_buffers():
            torch.testing.assert_close(tensors[n][k], buffer, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["block", "convolutional", "same", "dropout"])
def test_on_the_device_of_its_tensors(name: str, device: torch.device) -> None:
    several, x = models(name, torch.float32), inputs(name, torch.float32)
    results = []
    for place in ("cpu", device):
        tensors = together(several, place)
        names = [n for n, _ in several[0].named_parameters()]
        with ModelStreams([7, 8, 9]).at(1):
            outputs = Layers(several[0])(tensors, x.to(place))
        assert outputs.device.type == torch.device(place).type
        results.append(
            [t.cpu() for t in differentiate(outputs, [tensors[n] for n in names])] if names else [outputs.cpu()]
        )
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(ELEMENTWISE, key=lambda kind: kind.__name__))
def test_what_counts_as_elementwise_is(kind: Any) -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layer = kind()
    assert not list(layer.parameters())
    for single, value in zip(x.flatten(), layer(x).flatten(), strict=True):
        torch.testing.assert_close(layer(single), value, rtol=1e-12, atol=1e-12)


def test_common_layers_are_spared_the_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("mapped")

    first = [nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2, bias=False), nn.AvgPool2d(1)]
    images = [nn.Sequential(*copy.deepcopy(first)) for _ in range(MODELS)]
    vectors = [nn.Sequential(nn.Linear(5, 3), nn.Tanh(), Dropout(0.5)) for _ in range(MODELS)]
    odd = [nn.Sequential(nn.Linear(5, 3, bias=False), nn.ReLU(inplace=True)) for _ in range(MODELS)]
    monkeypatch.setattr(layers, "_mapped", refuse)
    with ModelStreams([1, 2, 3]).at(1):
        Layers(images[0])(together(images), torch.randn(MODELS, 2, 2, 8, 7))
        Layers(vectors[0])(together(vectors), torch.randn(MODELS, 2, 5))
        with pytest.raises(AssertionError, match="mapped"):
            Layers(odd[0])(together(odd), torch.randn(MODELS, 2, 5))


def doubled(module: nn.Module, args: Any, output: Any) -> Any:
    return 2 * output


def hooked(place: int) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3), Dropout(0.5))
    (model if place == 6 else model[place]).register_forward_hook(doubled)
    return model.double()


@pytest.mark.parametrize("place", range(7))
def test_hooks_act(place: int) -> None:
    several = [hooked(place) for _ in range(2)]
    x = torch.randn(2, 3, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with ModelStreams([7, 8]).at(1):
        outputs = Layers(several[0])(together(several), x)
    for k, model in enumerate(several):
        with ModelStreams([7 + k]).at(1):
            torch.testing.assert_close(outputs[k], model(x[k]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("place", range(5))
def test_a_forward_of_ones_own_acts(place: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3)).double()
    module = model if place == 4 else model[place]
    own = module.forward
    module.forward = lambda x: own(x) + 1
    x = torch.randn(1, 3, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(Layers(model)(together([model]), x)[0], model(x[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_layers_with_weights_from_hooks() -> None:
    with pytest.warns(FutureWarning):
        several = [nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 2, 2)), nn.Flatten()).double() for _ in range(2)]
    x = torch.randn(2, 3, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    outputs = Layers(several[0])(together(several), x)
    for k, model in enumerate(several):
        torch.testing.assert_close(outputs[k], model(x[k]), rtol=1e-12, atol=1e-12)


def test_shared_inputs_may_be_expanded() -> None:
    for name in ("linear", "convolutional", "block"):
        several, x = [m.eval() for m in models(name)], inputs(name)[0]
        outputs = Layers(several[0])(together(several), x.expand(MODELS, *x.shape))
        for k, model in enumerate(several):
            torch.testing.assert_close(outputs[k], model(x), rtol=1e-12, atol=1e-12)


def test_map_calls_a_function_of_each_model() -> None:
    several, x = models("block"), inputs("block")
    for model in several:
        model.eval()
    factors = torch.arange(3.0, dtype=torch.float64)
    values = Layers(several[0]).map(
        lambda model, x, f: f * model(x).sum() + model(-x).sum(), together(several), x, factors
    )
    for k, model in enumerate(several):
        expected = k * model(x[k]).sum() + model(-x[k]).sum()
        torch.testing.assert_close(values[k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.LSTM(5, 5), nn.RReLU()])
def test_what_cannot_be_mapped_says_what_can(layer: nn.Module) -> None:
    several = [nn.Sequential(nn.Linear(5, 5), copy.deepcopy(layer)) for _ in range(2)]
    with pytest.raises(RuntimeError) as caught:
        Layers(several[0])(together(several), torch.randn(2, 4, 5))
    (note,) = caught.value.__notes__
    assert f"{type(layer).__name__} ran under torch.func.vmap" in note and "tricks_lib.learning.dropout" in note


def test_names_of_tensors() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.BatchNorm1d(2, affine=False), layer)
    assert list(named_tensors(model)) == ["0.weight", "0.bias", *(f"1.{n}" for n, _ in model[1].named_buffers())]
    assert "2.weight" in named_tensors(model, remove_duplicate=False)
