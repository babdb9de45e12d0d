"""Settings tuned once, on seeds of their own, and kept beside the chapter that uses them."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tricks_lib.experiment.results import Results
from tricks_lib.experiment.seeding import seeds
from tricks_lib.experiment.settings import Setting

__all__ = ["tuned"]

_logger = logging.getLogger(__name__)
Run = Callable[[list[Setting], Sequence[int]], Results]


def tuned(
    chapter: str,
    arm: str,
    run: Run,
    settings: Sequence[Setting],
    *,
    metric: str = "val_loss",
    n: int = 8,
    highest: bool = False,
) -> Setting:
    """Return the best of some settings for one arm of a comparison.

    The search itself is done by ``make tune``, on the chapter's seeds of the stream ``"tune"``, which no reported
    number comes from. It writes ``<chapter>.tuned.json`` beside the chapter: what was tried, how it came out, and
    whether the best is at the border of what was tried. From then on the file is read.

    Parameters
    ----------
    chapter
        The chapter's name, e.g. ``"data/normalization"``.
    arm
        What the settings are for, e.g. ``"raw pixels"``; unique in the chapter.
    run
        (settings, seeds) -> results of `tricks_lib.experiment.engine.sweep`.
    settings
        Dicts of numbers and words, say from `tricks_lib.experiment.settings.grid`.
    metric
        What decides: its final value, mean over seeds. A setting with a seed that diverged counts as the worst.
    n
        Seeds for each setting.
    highest
        The highest value wins, as for an accuracy.

    Returns
    -------
    dict
        The best of ``settings``.

    Raises
    ------
    ValueError
        If no setting is left, since all diverged; or, when chapters are checked (``TRICKS_STRICT=1``), if the file
        has no result for exactly these settings: then ``make tune`` has to run. Without the check the search is done
        on the spot, and a warning is logged that says so.

    Examples
    --------
    >>> def run(settings, seeds):
    ...     loss = np.array([[[abs(s["lr"] - 0.1)]] * len(seeds) for s in settings])
    ...     return Results(settings, seeds, [1], {"val_loss": loss}, [0] * len(settings))
    >>> tuned("data/demo", "raw pixels", run, [{"lr": 0.03}, {"lr": 0.1}, {"lr": 0.3}])
    {'lr': 0.1}
    """
    path, asked = _path(chapter), _json({"settings": list(settings), "metric": metric, "highest": highest, "n": n})
    kept = json.loads(path.read_text("utf8")) if path.is_file() else {}
    known = kept.get(arm, {})
    if os.environ.get("TRICKS_TUNE") == "1":
        known = asked | _search(run, settings, seeds(chapter, "tune", n, base=0), metric, highest)
        _write(path, kept | {arm: known})
    elif {key: known.get(key) for key in asked} != asked:
        if os.environ.get("TRICKS_STRICT") == "1":
            raise ValueError(f"arm {arm!r} of {chapter} is not tuned for these settings: run `make tune`")
        _logger.warning(
            "%s, arm %r: %s has no result for these settings, so all %d are tried now, on %d seeds each, which takes "
            "its time. The chapter's page offers that file.",
            chapter,
            arm,
            path,
            len(settings),
            n,
        )
        known = _search(run, settings, seeds(chapter, "tune", n, base=0), metric, highest)
    return dict(settings[known["best"]])


def _search(run: Run, settings: Sequence[Setting], tune: Sequence[int], metric: str, highest: bool) -> dict[str, Any]:
    results = run(list(settings), tune)
    if not results.complete:
        raise KeyboardInterrupt("tuning was interrupted")
    values = results.final(metric)
    curve = np.where(np.isfinite(values), values, -math.inf if highest else math.inf).mean(1)
    best = int(curve.argmax() if highest else curve.argmin())
    if not math.isfinite(curve[best]):
        raise ValueError(f"settings: all {len(curve)} diverged for some seed, so that none is the best by {metric}")
    kept = [float(f"{value:.6g}") if math.isfinite(value) else None for value in curve]
    return {"curve": kept, "best": best, "border": _at_border(settings, best)}


def _at_border(settings: Sequence[Setting], best: int) -> list[str]:
    """Return the names of the numbers of which the best setting has the lowest or the highest value tried."""
    found = []
    for name, value in settings[best].items():
        tried = {s[name] for s in settings if isinstance(s.get(name), int | float)}
        if len(tried) > 2 and value in (min(tried), max(tried)):
            found.append(name)
    return found


def _path(chapter: str) -> Path:
    """Return the file's place: in the build the book's folder, else where the notebook runs."""
    folder = os.environ.get("TRICKS_BOOK")
    return Path(folder) / f"{chapter}.tuned.json" if folder else Path(f"{chapter.split('/')[-1]}.tuned.json")


def _json(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a file gives back: tuples become lists."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(content))
    except TypeError as error:
        raise TypeError(f"settings must hold numbers and words, which a file can keep: {error}") from None
    return plain


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n", "utf8")
    os.replace(part, path)  # in one step: an interrupt leaves the old file
