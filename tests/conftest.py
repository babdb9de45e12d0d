"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import torch

from tests import pretend_gpu

pretend_gpu.register()  # before the first backward pass of the process: autograd counts the devices then, once
hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, tests raise it
if (DTYPE := os.environ.get("TRICKS_DTYPE") or "float32") not in ("float32", "float64"):
    raise pytest.UsageError(f"TRICKS_DTYPE must be float32 or float64, got {DTYPE!r}")
torch.set_default_dtype(getattr(torch, DTYPE))
torch.set_num_threads(1)  # two test processes on two cores: spinning threads would only get in each other's way

DEVICES = ["cpu", pretend_gpu.NAME, *(["cuda"] if torch.cuda.is_available() else [])]


def pytest_runtest_setup() -> None:
    """Start each test from one global random state: what it draws there must not depend on the tests before it."""
    torch.manual_seed(20)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, a pretend GPU that raises when devices mix, and a real one where there is one."""
    return torch.device(request.param)


@pytest.fixture
def rng() -> torch.Generator:
    """A seeded generator on the CPU."""
    return torch.Generator().manual_seed(20)


@pytest.fixture
def global_rng_untouched() -> Iterator[None]:
    """Fail a test whose code draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "the global random state was touched"
