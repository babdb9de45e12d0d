"""Seeds by hashing: every chapter and every use of randomness has its own, and one number moves them all."""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Iterator
from itertools import count, islice
from typing import Literal, SupportsIndex

__all__ = ["seeds", "whole"]

_TOP_BITS = {"tune": 0, "data": 1, "train": 2}
_HASHED_BITS = 30


def seeds(chapter: str, stream: Literal["tune", "data", "train"], n: int, *, base: int | None = None) -> list[int]:
    r"""Return the first ``n`` seeds of a stream of a chapter.

    .. math:: s_i = 2^{30} t + \mathrm{sha256}(\text{base}, \text{chapter}, \text{stream}, i) \bmod 2^{30}

    The stream sets the top two bits, *t*: settings are never tuned on a seed that is reported. A number that came
    before is left out: the seeds of a stream are all different. More seeds keep the first ones:
    ``seeds(c, s, 32)[:8] == seeds(c, s, 8)``.

    Parameters
    ----------
    chapter
        Where the numbers are used, e.g. ``"data/looking"``.
    stream
        What they are for: ``"tune"`` (choosing settings), ``"data"`` (samples and splits) or ``"train"``
        (initial values, minibatch order and dropout).
    n
        How many, at least 1.
    base
        Moves all seeds at once. ``None``: the environment variable ``TRICKS_SEED``, or 0 if that is not set.

    Returns
    -------
    list of int
        ``n`` different numbers in [0, 2**32), which torch, numpy and scikit-learn accept.

    Raises
    ------
    TypeError
        If ``n`` or ``base`` is not a whole number.
    ValueError
        If an argument or ``TRICKS_SEED`` is out of range.

    Examples
    --------
    >>> seeds("data/looking", "train", 3, base=0)
    [2203062920, 3123699634, 3053847505]
    >>> seeds("data/looking", "tune", 3, base=0)[0] < 2**30
    True
    """
    if not isinstance(chapter, str) or not chapter.strip():
        raise ValueError(f"chapter must be a name such as 'data/looking', got {chapter!r}")
    if stream not in _TOP_BITS:
        raise ValueError(f"stream must be one of {', '.join(map(repr, _TOP_BITS))}, got {stream!r}")
    if not 1 <= (n := whole("n", n)) <= 2**_HASHED_BITS:
        raise ValueError(f"n must be between 1 and 2**{_HASHED_BITS}, got {n}")
    base = _base_from_environment() if base is None else whole("base", base)
    if base < 0:
        raise ValueError(f"base must be 0 or more, got {base}")
    return list(islice(_different(base, chapter, stream), n))


def whole(name: str, value: SupportsIndex) -> int:
    """Return a whole number of any type as an ``int``.

    Raises
    ------
    TypeError
        If it is none; the message begins with its ``name``.

    Examples
    --------
    >>> whole("n", True)
    1
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None


def _base_from_environment() -> int:
    """Return TRICKS_SEED; an empty one is refused too: it is a variable that somebody meant to set."""
    text = os.environ.get("TRICKS_SEED", "0")
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"TRICKS_SEED must be a whole number, 0 or more, got {text!r}")
    return int(text)


def _different(base: int, chapter: str, stream: str) -> Iterator[int]:
    seen: set[int] = set()
    for index in count():
        # repr keeps the four apart: ("a/1", "2") and ("a", "1/2") hash differently
        digest = hashlib.sha256(repr((base, chapter, stream, index)).encode()).digest()
        seed = _TOP_BITS[stream] << _HASHED_BITS | int.from_bytes(digest) % 2**_HASHED_BITS
        if seed not in seen:
            seen.add(seed)
            yield seed
