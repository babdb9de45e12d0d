"""What `tricks_lib.learning.loop` writes into a checkpoint, reads from it, and checks before it is used."""

from __future__ import annotations

import copy
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["capture", "random_states_kept", "read", "restore", "write"]

FORMAT, VERSION = "tricks_lib checkpoint", 1
CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set)
LEAVES = (type(None), bool, int, float, complex, str, torch.dtype, torch.device, torch.Size, Tensor)
CONTENT = ("layout", "parts", "random", "extra")
INT_BITS = 2039  # torch.load(weights_only=True) reads no longer integers


def capture(parts: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the states of the parts, torch's random states and the extra values as plain data on the CPU.

    Parameters
    ----------
    parts
        The ``"model"`` and, as far as they are used, ``"optimizer"``, ``"schedule"`` and ``"generators"`` (a dict).
        Of a model that is what its ``state_dict`` holds: buffers with ``persistent=False`` are not saved.
    extra
        Plain data by name.

    Returns
    -------
    dict[str, Any]
        What `write` stores and `restore` takes.

    Raises
    ------
    TypeError
        If something is not plain data, with the place where it was found.
    ValueError
        If the optimizer steps a parameter that the model does not hold.

    Examples
    --------
    >>> content = capture({"model": nn.Linear(3, 2, dtype=torch.float32)}, {"epoch": 7})
    >>> content["layout"]["model weight"], content["extra"]
    ('torch.float32 (2, 3)', {'epoch': 7})
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "layout": _layout(parts),
        "parts": {name: _state(part) for name, part in parts.items()},
        "random": _random_states(),
        "extra": dict(extra),
    }
    return {name: _portable(value, name) for name, value in content.items()}


def restore(parts: Mapping[str, Any], content: Mapping[str, Any], source: str | os.PathLike[str]) -> None:
    """Put captured states back into the parts; all of them, or none with an error.

    Parameters
    ----------
    parts
        All that were captured, or the model alone. torch's random states are restored only if an optimizer or
        generators are among them: a run goes on then. A buffer that is None or empty here is not set yet, and
        takes what the content holds if the model's own ``load_state_dict`` does.
    content
        From `capture` or `read`.
    source
        What error messages say the content came from.

    Raises
    ------
    ValueError
        If the content does not fit the parts, or a random state in it is damaged. Nothing has been changed then.

    Examples
    --------
    >>> narrow, wide = (nn.Linear(3, n, dtype=torch.float32) for n in (2, 4))
    >>> restore({"model": wide}, capture({"model": narrow}, {}), "memory")
    Traceback (most recent call last):
    ValueError: memory does not fit:
      model weight: torch.float32 (2, 3) in the file, torch.float32 (4, 3) here
      model bias: torch.float32 (2,) in the file, torch.float32 (4,) here
    """
    resume = bool(parts.keys() & {"optimizer", "generators"})
    if parts.keys() != content["parts"].keys() and parts.keys() != {"model"}:
        raise ValueError(f"{source} holds {', '.join(content['parts'])}, but the call passes {', '.join(parts)}")
    _check_layout(source, parts, content)
    _check_generators(source, parts, content)
    if resume:
        _check_random_states(source, content["random"])
    for name, part in parts.items():
        _restore_part(part, content["parts"][name])
    if resume:
        _set_random_states(content["random"])


def write(path: str | os.PathLike[str], content: Any) -> None:
    """Write a file that appears under its name only when it is complete.

    Parameters
    ----------
    path
        The file; until it is complete, ``.<name>.tmp`` beside it.
    content
        What ``torch.save`` takes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/run.pt", capture({"model": nn.Linear(3, 2)}, {"epoch": 7}))
    ...     sorted(os.listdir(folder)), read(f"{folder}/run.pt")["extra"]
    (['run.pt'], {'epoch': 7})
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")  # one fixed name: what a killed run leaves, the next one replaces
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())  # the data must be on the disk before the name is
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write` wrote, onto the CPU, without running any code in it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict[str, Any]
        The content, as `capture` made it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, something else, of another format version, or lacks an entry; the message names it.

    Examples
    --------
    See `write`.
    """
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # of many kinds: OSError, RuntimeError, UnpicklingError, ...
            raise ValueError(f"{path} is cut short, damaged, or no file of save_checkpoint") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is no file of save_checkpoint")
    _check_entries(path, content)
    return content


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Put torch's global random states back after the ``with`` block, on the CPU and the accelerator.

    Examples
    --------
    >>> with random_states_kept():
    ...     inside = torch.rand(3)
    >>> torch.equal(inside, torch.rand(3))
    True
    """
    states = _random_states()
    try:
        yield
    finally:
        _set_random_states(states)


def _random_modules() -> dict[str, Any]:
    """The module of the accelerator (torch.cuda, torch.mps, ...) under its name, if there is one that can draw."""
    device = torch.accelerator.current_accelerator(check_available=True)
    module = None if device is None else torch.get_device_module(device)
    return {device.type: module} if device is not None and hasattr(module, "get_rng_state") else {}


def _random_states() -> dict[str, list[Tensor]]:
    states = {"cpu": [torch.get_rng_state()]}
    for name, module in _random_modules().items():
        if getattr(module, "is_initialized", lambda: True)():  # asking would wake up a GPU that nobody uses
            states[name] = [module.get_rng_state(index) for index in range(module.device_count())]
    return states


def _set_random_states(states: Mapping[str, list[Tensor]]) -> None:
    torch.set_rng_state(states["cpu"][0])
    for name, module in _random_modules().items():
        for index, state in zip(range(module.device_count()), states.get(name, []), strict=False):
            module.set_rng_state(state, index)


def _check_entries(path: Any, content: Mapping[str, Any]) -> None:
    if "version" not in content:
        raise ValueError(f"{path} is damaged: it lacks 'version'")
    if content["version"] != VERSION:
        raise ValueError(f"{path} has format version {content['version']}, this tricks_lib reads {VERSION}")
    missing = [repr(name) for name in CONTENT if not isinstance(content.get(name), dict)]
    if not missing and "model" not in content["parts"]:
        missing = ["'model' among its parts"]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}")


def _check_generators(source: Any, parts: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    saved = content["parts"].get("generators", {})
    for name, generator in parts.get("generators", {}).items():
        spare = torch.Generator(generator.device)
        _check_random_state(f"{source}: generator {name}", saved.get(name), generator.get_state(), spare)


def _check_random_states(source: Any, states: Mapping[str, Any]) -> None:
    for name in {"cpu": None} | dict(states):
        if not isinstance(states.get(name), list) or (name == "cpu" and len(states[name]) != 1):
            raise ValueError(f"{source}: random[{name!r}] is damaged or missing, expected a list of random states")
    _check_random_state(f"{source}: random['cpu']", states["cpu"][0], torch.get_rng_state(), torch.Generator("cpu"))
    for name, module in _random_modules().items():
        awake = getattr(module, "is_initialized", lambda: True)()  # asking for a state would wake it up
        for index, state in zip(range(module.device_count()), states.get(name, []), strict=False):
            present = module.get_rng_state(index) if awake else None
            _check_random_state(f"{source}: random[{name!r}][{index}]", state, present)


def _check_random_state(where: str, state: Any, present: Tensor | None, spare: torch.Generator | None = None) -> None:
    """Compare with the present state, and try it on a generator that nobody uses."""
    kind = _kind(state)
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise ValueError(f"{where} is damaged: expected a random state, torch.uint8 (n,), got {kind}")
    if present is not None and kind != _kind(present):
        raise ValueError(f"{where} is damaged: expected a random state, {_kind(present)}, got {kind}")
    if spare is not None:
        try:
            spare.set_state(state)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{where} is damaged: {error}") from error


def _state(part: Any) -> dict[str, Any]:
    if isinstance(part, Mapping):
        return {name: generator.get_state() for name, generator in part.items()}
    state: dict[str, Any] = part.state_dict()
    for index, function in enumerate(getattr(part, "lr_lambdas", [])):
        if _is_frozen(function):  # cannot have changed, and its fields need not be plain data
            state["lr_lambdas"][index] = None
    return state


def _is_frozen(function: Any) -> bool:
    dataclass = getattr(function, "__dataclass_params__", None)
    return dataclass is not None and bool(dataclass.frozen)


def _restore_part(part: Any, state: Mapping[str, Any]) -> None:
    if isinstance(part, Mapping):
        for name, generator in part.items():
            generator.set_state(state[name])
    else:
        part.load_state_dict(state)


def _layout(parts: Mapping[str, Any]) -> dict[str, str]:
    """What must be the same when a state is put back: one line for each parameter, group, generator."""
    model = parts["model"]
    layout = {f"model {key}": _kind(value) for key, value in model.state_dict().items()}
    names: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if names.setdefault(id(parameter), name) != name:
            layout[f"model {name}"] = f"tied to {names[id(parameter)]}"
    layout |= {name: type(part).__name__ for name, part in parts.items() if name in ("optimizer", "schedule")}
    for index, group in enumerate(parts["optimizer"].param_groups if "optimizer" in parts else []):
        for parameter in group["params"]:
            if id(parameter) not in names:
                raise ValueError(
                    f"optimizer steps a parameter of shape {tuple(parameter.shape)} that is not in model, so that the "
                    "checkpoint would lack it; pass all that is trained as one model, such as an nn.ModuleList"
                )
        layout[f"optimizer group {index}"] = ", ".join(names[id(parameter)] for parameter in group["params"])
    for name, generator in parts.get("generators", {}).items():
        layout[f"generator {name}"] = f"on {generator.device.type}"
    return layout


def _kind(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _check_layout(path: Any, parts: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    here, there = _layout(parts), content["layout"]
    if parts.keys() == {"model"}:
        there = {name: kind for name, kind in there.items() if name.startswith("model ")}
    unset = _unset_buffers(parts["model"])
    wrong = [name for name in here | there if here.get(name) != there.get(name) and name not in unset]
    if wrong:
        lines = [f"{n}: {there.get(n, 'nothing')} in the file, {here.get(n, 'nothing')} here" for n in wrong[:10]]
        more = [f"and {len(wrong) - 10} more"] if len(wrong) > 10 else []
        raise ValueError("\n  ".join([f"{path} does not fit:", *lines, *more]))
    if unset & there.keys():  # a transform that is not fitted: its own loader decides, on a copy
        try:
            copy.deepcopy(parts["model"]).load_state_dict(content["parts"]["model"])
        except RuntimeError as error:
            raise ValueError(f"{path} does not fit: {error}") from error


def _unset_buffers(model: nn.Module) -> set[str]:
    """The buffers that wait for a fit: None, or without elements as in `tricks_lib.data.looking.PCA`."""
    names = set()
    for prefix, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None or buffer.numel() == 0:
                names.add("model " + ".".join(filter(None, [prefix, name])))
    return names


def _portable(value: Any, where: str) -> Any:
    """Copy plain data, tensors to the CPU; refuse what torch.load(weights_only=True) would."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
    if isinstance(value, dict) and type(value) in CONTAINERS:
        fresh = copy.copy(value)  # with the version numbers that a model's state_dict carries
        for key, item in value.items():
            fresh[_portable(key, f"a key of {where}")] = _portable(item, f"{where}[{key!r}]")
        return fresh
    if type(value) in CONTAINERS:
        return type(value)(_portable(item, f"{where}[{index}]") for index, item in enumerate(value))
    if type(value) in LEAVES and not (type(value) is int and value.bit_length() > INT_BITS):
        return value
    raise TypeError(
        f"{where} is of type {type(value).__module__}.{type(value).__qualname__}, which a checkpoint cannot hold; "
        "make it plain data: numbers, strings, tensors, and dicts, lists, tuples, sets of them"
    )
