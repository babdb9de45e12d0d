"""What a sweep measured: one number for each metric, setting, seed and epoch."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tricks_lib.experiment.settings import Setting
from tricks_lib.experiment.statistics import over_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Results"]

Values = NDArray[np.float64]


@dataclass
class Results:
    """The measurements of a sweep.

    Attributes
    ----------
    settings, seeds, epochs
        What was trained, and after how many epochs it was evaluated.
    curves
        For each metric the values (settings, seeds, epochs); NaN where a model diverged, or was not trained so long.
    last
        For each setting the place of its last evaluation among the epochs.
    complete
        False if the sweep was interrupted: what is missing is NaN, and so are `final` and `best` of a model that was
        not trained to its end, so that none of them gets into a comparison.
    models
        With ``keep=True``, the trained models by setting and seed, in eval mode; ``None`` where one was not finished.
    stacks
        How many models trained at a time.
    same_start
        For each setting, whether its models started from the same values as those of the first one with the same
        seed, as far as names and shapes of their parameters agree. The table says so where they did not.

    Examples
    --------
    >>> curves = {"val_loss": np.array([[[0.5, 0.2, 0.4]]]), "test_accuracy": np.array([[[0.6, 0.9, 0.8]]])}
    >>> results = Results([{"lr": 0.1}], seeds=[7], epochs=[1, 2, 3], curves=curves, last=[2])
    >>> results.final("test_accuracy"), results.best("test_accuracy", by="val_loss")
    (array([[0.8]]), array([[0.9]]))
    >>> list(results.rows())[0]
    {'lr': 0.1, 'seed': 7, 'epoch': 1, 'val_loss': 0.5, 'test_accuracy': 0.6}
    """

    settings: list[Setting]
    seeds: list[int]
    epochs: list[int]
    curves: dict[str, Values]
    last: list[int]
    complete: bool = True
    models: list[list[nn.Module | None]] | None = None
    stacks: list[int] = field(default_factory=list)
    same_start: list[bool] = field(default_factory=list)

    def final(self, name: str) -> Values:
        """Return a metric at the end of training (settings, seeds)."""
        return self._at(name, np.array(self.last)[:, None, None])

    def best(self, name: str, by: str = "val_loss", *, highest: bool = False) -> Values:
        """Return a metric where another one was best (settings, seeds): early stopping, after the fact.

        Parameters
        ----------
        name
            What to return.
        by
            What decides: the epoch at which it is lowest. Epochs with NaN do not count, if others are left.
        highest
            Take the epoch at which it is highest instead.
        """
        values = -self._curve(by) if highest else self._curve(by)
        return self._at(name, np.where(np.isnan(values), np.inf, values).argmin(-1)[..., None])

    def where(self, **match: Any) -> Results:
        """Return the results of the settings that have these values.

        Raises
        ------
        ValueError
            If there is none.
        """
        chosen = [i for i, s in enumerate(self.settings) if all(k in s and _same(s[k], v) for k, v in match.items())]
        if not chosen:
            raise ValueError(f"no setting has {_text(match)}: {'; '.join(map(_text, self.settings))}")
        return replace(
            self,
            settings=[self.settings[i] for i in chosen],
            curves={name: values[chosen] for name, values in self.curves.items()},
            last=[self.last[i] for i in chosen],
            models=self.models and [self.models[i] for i in chosen],
            same_start=self.same_start and [self.same_start[i] for i in chosen],
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per setting, seed and epoch: what a data frame is made from."""
        for i, setting in enumerate(self.settings):
            for j, seed in enumerate(self.seeds):
                for e in range(self.last[i] + 1):
                    values = {name: float(curve[i, j, e]) for name, curve in self.curves.items()}
                    yield {**setting, "seed": seed, "epoch": self.epochs[e], **values}

    def table(self) -> list[list[str]]:
        """Return setting and final metrics, mean over seeds with the half-width of the 95 % interval, as text."""
        finals = {name: self.final(name) for name in self.curves}
        rows = [[_text(s), *(_interval(v[i]) for v in finals.values())] for i, s in enumerate(self.settings)]
        return [["setting", *finals], *rows]

    def plot(self, name: str, *, x: str = "epoch", log: bool | None = None, ax: Axes | None = None) -> Figure:
        """Draw a metric: the mean over seeds with its 95 % interval.

        Parameters
        ----------
        name
            The metric.
        x
            ``"epoch"``, or the name of a number in the settings: then the final values are drawn, one line for each
            combination of the others.
        log
            Whether the horizontal axis is logarithmic. ``None``: if all is positive and spans more than a factor 50.
        ax
            Axes to draw on, instead of a new figure.

        Raises
        ------
        KeyError
            If there is no such metric, or not all settings have ``x``.
        """
        from tricks_lib.plots.sweeps import seed_intervals

        lines: dict[str, tuple[Sequence[float], Values]]
        if x == "epoch":
            lines = {_text(s): (self.epochs, v) for s, v in zip(self.settings, self._curve(name), strict=True)}
        else:
            lines = self._against(x, self.final(name))
        places = np.concatenate([np.asarray(place, float) for place, _ in lines.values()])
        wide = bool(places.min() > 0 and places.max() > 50 * places.min())
        return seed_intervals(lines, xlabel=x, ylabel=name, log=wide and x != "epoch" if log is None else log, ax=ax)

    def __repr__(self) -> str:
        cells = self.table()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join([self._caption(), *lines])

    def _repr_html_(self) -> str:
        head, *body = ([html.escape(cell) for cell in row] for row in self.table())
        rows = "".join(f"<tr><th scope='row'>{row[0]}</th><td>{'</td><td>'.join(row[1:])}</td></tr>" for row in body)
        names = "".join(f"<th scope='col'>{name}</th>" for name in head)
        return (
            f"<table><caption>{self._caption()}</caption><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _caption(self) -> str:
        size = f"{len(self.settings)} settings x {len(self.seeds)} seeds, final values: mean ± 95 % interval"
        if apart := [_text(s) for s, same in zip(self.settings, self.same_start, strict=False) if not same]:
            size += f"; started from other values than the first: {'; '.join(apart)}"
        return size if self.complete else f"{size} (INTERRUPTED: not all models are trained)"

    def _curve(self, name: str) -> Values:
        if name not in self.curves:
            raise KeyError(f"no metric {name!r}: there are {', '.join(self.curves)}")
        return self.curves[name]

    def _at(self, name: str, epoch: NDArray[np.int64]) -> Values:
        values = self._taken(self._curve(name), epoch)
        return values if self.complete else np.where(self._finished(), values, np.nan)

    def _taken(self, curve: Values, epoch: NDArray[np.int64]) -> Values:
        place = np.broadcast_to(epoch, (len(self.settings), len(self.seeds), 1))
        return np.take_along_axis(curve, place, -1)[..., 0]

    def _finished(self) -> NDArray[np.bool_]:
        """Tell which models have all values of their last evaluation; one that diverged counts as unfinished."""
        last = np.array(self.last)[:, None, None]
        return np.isfinite(sum(self._taken(curve, last) for curve in self.curves.values()))

    def _against(self, x: str, values: Values) -> dict[str, tuple[Sequence[float], Values]]:
        """Return for each combination of the other names: places, and values (seeds, places)."""
        if missing := [_text(s) for s in self.settings if x not in s]:
            raise KeyError(f"settings without {x!r}: {'; '.join(missing)}")
        members: dict[str, list[int]] = {}
        for i in sorted(range(len(self.settings)), key=lambda i: self.settings[i][x]):
            members.setdefault(_text({k: v for k, v in self.settings[i].items() if k != x}), []).append(i)
        return {line: ([self.settings[i][x] for i in found], values[found].T) for line, found in members.items()}


def _same(a: Any, b: Any) -> bool:
    return a is b or bool(isinstance(a, str | Number) and isinstance(b, str | Number) and a == b)


def _text(setting: Setting) -> str:
    """The label of a setting if it has one, else its names and values."""
    if "label" in setting:
        return str(setting["label"])
    return ", ".join(f"{name}={_value(value)}" for name, value in setting.items()) or "default"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str | Number | tuple | list | None):
        return str(value)
    return str(getattr(value, "__name__", getattr(value, "name", type(value).__name__)))


def _interval(values: Values) -> str:
    """Mean and half-width over seeds; where some are NaN, how many are left."""
    finite = values[np.isfinite(values)]
    mean = f"{finite.mean():.4g}" if len(finite) else "nan"
    if len(finite) < len(values):
        return f"{mean} ({len(finite)} of {len(values)} finite)"
    if len(finite) < 2:
        return mean
    estimate = over_seeds(finite)
    return f"{mean} ± {(estimate.high - estimate.low) / 2:.2g}"
