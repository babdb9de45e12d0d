"""Numbers for the prose: a chapter computes them, the text quotes them, nobody types them."""

from __future__ import annotations

import math
import re
import sys
from numbers import Integral, Real
from typing import Any, SupportsFloat

import numpy as np
from torch import Tensor

__all__ = ["glue"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = "application/papermill.record/"  # how MyST-NB marks an output that is kept, not shown


def glue(name: str, value: SupportsFloat | str, *, exact: bool = False) -> None:
    """Keep a number of the notebook for its prose, where ``{glue:text}`name:.1f``` shows it.

    Nothing is displayed. The metadata of the output carries the number as ``tricks_number``, for the check that
    seeds move what they should. Outside of IPython this does nothing but check its arguments.

    Parameters
    ----------
    name
        In kebab case, unique in the chapter, e.g. ``"constant-pixels"``.
    value
        A finite number: int, float, numpy scalar or 0-dimensional tensor. Text is possible where it is exact.
    exact
        The value does not depend on any seed: a count in the data, a result of arithmetic.

    Raises
    ------
    TypeError
        If ``value`` is neither a single number nor, with ``exact=True``, text.
    ValueError
        If ``name`` is not in kebab case, or ``value`` is not finite or empty.

    Examples
    --------
    >>> glue("constant-pixels", 67, exact=True)
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise ValueError(f"name must be in kebab case, like 'constant-pixels', got {name!r}")
    plain = _plain(value)
    if isinstance(plain, str) and not exact:
        raise TypeError(f"value of {name!r} is text, {plain!r}: text must be exact=True, or glue a number")
    if plain == "" or (isinstance(plain, float) and not math.isfinite(plain)):
        raise ValueError(f"value of {name!r} must be finite, or text that is not empty, got {plain!r}")
    _publish(
        {f"{_PREFIX}text/plain": repr(plain)},
        {
            "scrapbook": {"name": name, "mime_prefix": _PREFIX},
            "tricks_number": {"name": name, "value": plain, "exact": bool(exact)},
        },
    )


def _plain(value: object) -> int | float | str:
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, Integral) else float(value)
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, (Tensor, np.ndarray)) else ""
    raise TypeError(f"value must be a single number or text, got {type(value).__name__}{shape}: {value!r}")


def _publish(data: dict[str, str], metadata: dict[str, Any]) -> None:
    """Emit an output if this is IPython, which then is loaded already; plain Python never imports it here."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(data, raw=True, metadata=metadata)
