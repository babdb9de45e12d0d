"""What every fitted transform and every augmentation keeps, checked over all of them: see `tests.data.registry`."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.data.registry import AUGMENTATIONS, FITTED, LOSSY, OF_COLORS, public_subclasses
from tricks_lib.data.augmentation import Augmentation
from tricks_lib.data.fitted import Fitted

TABLE = torch.randn(30, 5, generator=torch.Generator().manual_seed(4)) * torch.logspace(-1, 1, 5) + 2

fitted = pytest.mark.parametrize("make", FITTED.values(), ids=FITTED)
augmentations = pytest.mark.parametrize("name", AUGMENTATIONS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 6, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(n, channels, 11, 9, generator=rng(7), dtype=torch.float64).to(dtype)


def made(name: str, seed: int | None = None) -> Augmentation:
    return AUGMENTATIONS[name](None if seed is None else rng(seed))


def reloaded(module: Any) -> Any:
    """Save as files do, and load."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_none_is_missing() -> None:
    assert public_subclasses(Fitted) == {name.partition(",")[0] for name in FITTED}
    assert public_subclasses(Augmentation) == set(AUGMENTATIONS)


# ---- fitted transforms


@fitted
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_fit_follows_dtype_and_device_of_its_data(make: Any, dtype: torch.dtype, device: torch.device) -> None:
    x = TABLE.to(device, dtype)
    before = x.clone()
    transform = make().fit(x)
    z = transform(x)
    assert z.dtype == dtype and z.device.type == device.type and torch.equal(x, before)
    assert all(buffer.device.type == device.type for buffer in transform.buffers())
    on_cpu = make().fit(TABLE.to(dtype))
    torch.testing.assert_close(z.cpu(), on_cpu(TABLE.to(dtype)), rtol=0, atol=0)


@fitted
def test_integers_become_fractions(make: Any) -> None:
    x = (TABLE * 3).long()
    fractions = x.to(torch.get_default_dtype())
    torch.testing.assert_close(make().fit(x)(x), make().fit(fractions)(fractions))


@fitted
def test_batches_are_the_same_as_all_at_once(make: Any) -> None:
    x = TABLE.double()
    loader = DataLoader(TensorDataset(x, torch.arange(30)), batch_size=7)
    torch.testing.assert_close(make().fit(loader)(x), make().fit(x)(x), rtol=1e-9, atol=1e-9)


@fitted
def test_back_and_forth(make: Any, request: pytest.FixtureRequest) -> None:
    x = TABLE.double()
    transform = make().fit(x)
    z = transform(x)
    back = transform.inverse(z)
    if request.node.callspec.id in LOSSY:
        torch.testing.assert_close(transform(back), z)
    else:
        torch.testing.assert_close(back, x)
    assert torch.equal(transform(x), z), "the inverse changed the transform"


@fitted
def test_one_sample_and_none(make: Any) -> None:
    transform = make().fit(TABLE)
    torch.testing.assert_close(transform(TABLE[3:4]), transform(TABLE)[3:4], rtol=1e-4, atol=1e-5)
    assert transform(TABLE[:0]).shape == transform(TABLE)[:0].shape


@fitted
def test_a_fit_survives_saving_copying_and_pickling(make: Any) -> None:
    transform = make().fit(TABLE)
    unfitted = make()
    unfitted.load_state_dict(reloaded(transform))
    for other in (unfitted, copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert torch.equal(other(TABLE), transform(TABLE))


@fitted
def test_a_fit_draws_nothing_and_has_no_gradient(make: Any, global_rng_untouched: None) -> None:
    x = TABLE.clone().requires_grad_()
    transform = make().fit(x)
    assert not any(buffer.requires_grad for buffer in transform.buffers())
    (gradient,) = torch.autograd.grad(transform(x).square().sum(), x)
    assert gradient.isfinite().all()


@fitted
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_refused(make: Any, bad: float) -> None:
    x = TABLE.clone()
    x[4, 2] = bad
    transform = make()
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        transform.fit(x)


@fitted
def test_samples_of_another_shape_and_unfitted_use_are_refused(make: Any) -> None:
    transform = make().fit(TABLE)
    with pytest.raises(ValueError, match="x must have shape"):
        transform(TABLE[:, :4])
    with pytest.raises(RuntimeError, match="is not fitted"):
        make()(TABLE)
    before = transform(TABLE)
    with pytest.raises(ValueError):
        transform.fit(TABLE[:0])
    assert torch.equal(transform(TABLE), before), "a failed fit lost the one before"


# ---- augmentations


@augmentations
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_device_stay(name: str, dtype: torch.dtype, device: torch.device) -> None:
    x = images(dtype=dtype).to(device)
    before = x.clone()
    out = made(name, 3)(x)
    assert out.shape == x.shape and out.dtype == dtype and out.device.type == device.type
    assert torch.equal(x, before) and out.isfinite().all() and not torch.equal(out, x)
    torch.testing.assert_close(out.cpu(), made(name, 3)(images(dtype=dtype)), rtol=0, atol=0)


@augmentations
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels(name: str, channels: int) -> None:
    x = images(channels=channels)
    if name in OF_COLORS and channels != 3:
        with pytest.raises(ValueError, match=f"x must have 3 channels .* got {channels}"):
            made(name)(x)
    else:
        assert made(name, 3)(x).shape == x.shape


@augmentations
def test_one_image_and_none(name: str) -> None:
    assert made(name, 3)(images(1)).shape == (1, 3, 11, 9)
    assert made(name, 3)(images(0)).shape == (0, 3, 11, 9)


@augmentations
def test_the_same_generator_draws_the_same_and_nobody_elses(name: str, global_rng_untouched: None) -> None:
    x = images()
    first, second = made(name, 3)(x), made(name, 3)(x)
    assert torch.equal(first, second) and not torch.equal(first, made(name, 4)(x))
    own = made(name, 3)
    assert torch.equal(own(x, generator=rng(5)), own(x, generator=rng(5)))
    assert torch.equal(own(x), first), "a generator that was passed left the module's own alone"


@augmentations
def test_each_image_has_its_own_draw(name: str) -> None:
    x = images(1).expand(16, -1, -1, -1).clone()
    out = made(name, 3)(x).flatten(1)
    assert len(out.unique(dim=0)) > 1


@augmentations
def test_draws_can_be_replayed(name: str) -> None:
    x = images()
    augmentation = made(name, 3)
    draws = augmentation.draw(x)
    first = augmentation(x, draws=draws)
    assert torch.equal(augmentation(x, draws=draws), first)
    assert torch.equal(augmentation.eval()(x, draws=draws), first)
    assert all(len(value) == len(x) for value in draws.values())
    with pytest.raises(ValueError, match="draws must have a row for each of the 5 images, got 6"):
        augmentation(x[:5], draws=draws)


@augmentations
def test_an_image_does_not_depend_on_the_others(name: str) -> None:
    x, augmentation = images(), made(name, 3)
    draws = augmentation.draw(x)
    alone = augmentation(x[2:3], draws={key: value[2:3] for key, value in draws.items()})
    torch.testing.assert_close(augmentation(x, draws=draws)[2:3], alone, rtol=1e-5, atol=1e-6)
    spoiled = x.clone()
    spoiled[0] = torch.nan
    torch.testing.assert_close(augmentation(spoiled, draws=draws)[1:], augmentation(x, draws=draws)[1:])


@augmentations
def test_nothing_happens_in_evaluation(name: str, global_rng_untouched: None) -> None:
    x = images()
    assert made(name).eval()(x) is x


@augmentations
def test_copies_and_pickles_draw_alike(name: str) -> None:
    x, augmentation = images(), made(name, 3)
    copies = [copy.deepcopy(augmentation), pickle.loads(pickle.dumps(augmentation))]
    copies[0].load_state_dict(reloaded(augmentation))
    expected = augmentation(x)
    for other in copies:
        assert torch.equal(other(x), expected)


@augmentations
def test_images_are_checked(name: str) -> None:
    with pytest.raises(TypeError, match=r"x must be a tensor of floating-point numbers, got torch\.uint8"):
        made(name)(images().byte())
    for bad in (images()[0], images()[:, :0], images()[..., None]):
        with pytest.raises(ValueError, match=r"x must have shape \(N, C, H, W\), with channels and pixels"):
            made(name)(bad)
