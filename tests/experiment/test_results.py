"""Picking from results: the end, the best epoch, some settings, rows, a table and a plot."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tricks_lib.experiment.results import Results
from tricks_lib.experiment.statistics import over_seeds, paired

NAN = np.nan


def results() -> Results:
    """Two settings, the first trained for one evaluation less; three seeds, three epochs."""
    loss = [[[3, 1, NAN], [2, 4, NAN], [NAN, NAN, NAN]], [[5, 4, 6], [NAN, 3, 9], [1, 1, 0]]]
    right = [[[0.1, 0.2, NAN], [0.3, 0.4, NAN], [0.5, 0.6, NAN]], [[0.7, 0.8, 0.9], [0.1, 0.2, 0.3], [0.4, 0.5, 0.7]]]
    curves = {"val_loss": np.array(loss, float), "val_accuracy": np.array(right, float)}
    return Results([{"lr": 0.1, "label": "slow"}, {"lr": 1.0}], [7, 8, 9], [2, 4, 5], curves, [1, 2])


def test_final_is_the_last_evaluation_of_each_setting() -> None:
    assert results().final("val_accuracy").tolist() == [[0.2, 0.4, 0.6], [0.9, 0.3, 0.7]]


def test_best_stops_early_after_the_fact() -> None:
    found = results()
    assert found.best("val_accuracy").tolist() == [[0.2, 0.3, 0.5], [0.8, 0.2, 0.7]]
    assert found.best("val_accuracy", by="val_accuracy", highest=True).tolist() == [[0.2, 0.4, 0.6], [0.9, 0.3, 0.7]]
    np.testing.assert_array_equal(found.best("val_loss"), [[1, 2, NAN], [4, 3, 0]])


def test_rows_are_tidy() -> None:
    rows = list(results().rows())
    assert len(rows) == 3 * 2 + 3 * 3
    assert rows[1] == {"lr": 0.1, "label": "slow", "seed": 7, "epoch": 4, "val_loss": 1.0, "val_accuracy": 0.2}
    assert rows[-1] == {"lr": 1.0, "seed": 9, "epoch": 5, "val_loss": 0.0, "val_accuracy": 0.7}
    assert all(type(v) is not np.float64 for row in rows for v in row.values())


def test_where_picks_settings() -> None:
    found = results().where(lr=1.0)
    assert found.settings == [{"lr": 1.0}] and found.final("val_accuracy").tolist() == [[0.9, 0.3, 0.7]]
    assert results().where(lr=np.float32(1)).settings == results().where(lr=np.int64(1)).settings == [{"lr": 1.0}]
    assert results().where(label="slow").last == [1] and results().where().settings == results().settings
    with pytest.raises(ValueError, match="no setting has lr=3: slow; lr=1"):
        results().where(lr=3)
    kept = results()
    kept.models = [[None] * 3, [None] * 2]
    assert kept.where(lr=1.0).models == [[None] * 2]


def test_unfinished_results_cannot_become_a_claim() -> None:
    found = results()
    with pytest.raises(ValueError, match="non-finite"):
        paired(*found.final("val_loss"))
    found.complete = False  # now NaN in any metric at the end means that a model was not trained to its end
    for name in found.curves:
        for values in (found.final(name), found.best(name), found.where(label="slow").best(name)):
            assert np.isfinite(values[0]).tolist() == [True, True, False]
    np.testing.assert_array_equal(found.best("val_accuracy"), [[0.2, 0.3, NAN], [0.8, 0.2, 0.7]])
    found.last = [2, 2]  # interrupted before the last evaluation of the first setting
    assert np.isnan(found.final("val_loss")[0]).all() and np.isnan(found.best("val_accuracy")[0]).all()
    assert np.isfinite(found.best("val_loss")[1]).all()
    with pytest.raises(ValueError, match="non-finite"):
        paired(*found.best("val_accuracy"))


def test_table() -> None:
    head, slow, fast = results().table()
    estimate = over_seeds([0.9, 0.3, 0.7])
    assert head == ["setting", "val_loss", "val_accuracy"]
    assert slow[:2] == ["slow", "2.5 (2 of 3 finite)"]
    assert fast == ["lr=1", "5 ± 11", f"0.6333 ± {(estimate.high - estimate.low) / 2:.2g}"]


def test_as_text() -> None:
    assert repr(results()) == (
        "2 settings x 3 seeds, final values: mean ± 95 % interval\n"
        "setting  val_loss             val_accuracy\n"
        "slow     2.5 (2 of 3 finite)  0.4 ± 0.5\n"
        "lr=1     5 ± 11               0.6333 ± 0.76"
    )


def test_as_html() -> None:
    found = results()
    found.settings[0] = {"label": "a < b"}
    found.complete = False
    assert found._repr_html_() == (
        "<table><caption>2 settings x 3 seeds, final values: mean ± 95 % interval (INTERRUPTED: not all models are "
        "trained)</caption><thead><tr><th scope='col'>setting</th><th scope='col'>val_loss</th><th scope='col'>"
        "val_accuracy</th></tr></thead><tbody>"
        "<tr><th scope='row'>a &lt; b</th><td>2.5 (2 of 3 finite)</td><td>0.3 (2 of 3 finite)</td></tr>"
        "<tr><th scope='row'>lr=1</th><td>5 ± 11</td><td>0.6333 ± 0.76</td></tr></tbody></table>"
    )


def test_one_seed_has_no_interval() -> None:
    one = Results([{}], [1], [1], {"loss": np.array([[[0.25]]])}, [0])
    assert one.table()[1] == ["default", "0.25"]
    two = Results([{}], [1, 2], [1], {"loss": np.array([[[0.25], [0.75]]])}, [0])
    assert two.table()[1] == ["default", "0.5 ± 3.2"]
    diverged = Results([{"f": max}], [1, 2], [1], {"loss": np.full((1, 2, 1), NAN)}, [0])
    assert diverged.table()[1] == ["f=max", "nan (0 of 2 finite)"]


def test_labels_of_settings_are_short() -> None:
    class Split:
        name = "digits"

    for value, text in [({"train": ()}, "dict"), (Split(), "digits"), (max, "max"), ((1, 2), "(1, 2)"), (None, "None")]:
        one = Results([{"data": value}], [1], [1], {"loss": np.zeros((1, 1, 1))}, [0])
        assert one.table()[1][0] == f"data={text}"


def test_round_trips() -> None:
    for other in (copy.deepcopy(results()), pickle.loads(pickle.dumps(results()))):
        assert repr(other) == repr(results())


def lines(figure: Any) -> dict[str, Any]:
    (axes,) = figure.axes
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def sweep_like(**axes: list[Any]) -> Results:
    from tricks_lib.experiment.settings import grid

    settings = grid(**axes)
    curve = np.arange(len(settings) * 8.0).reshape(len(settings), 4, 2)
    return Results(settings, [1, 2, 3, 4], [1, 2], {"loss": curve}, [1] * len(settings))


def test_plot_against_epochs() -> None:
    drawn = lines(sweep_like(lr=[0.1, 1.0]).plot("loss"))
    assert list(drawn) == ["lr=0.1", "lr=1"] and drawn["lr=1"].tolist() == [[1, 11], [2, 12]]


@pytest.mark.parametrize(("log", "scale"), [(None, "linear"), (True, "log"), (False, "linear")])
def test_epochs_are_equally_far_apart_unless_one_asks(log: bool | None, scale: str) -> None:
    found = Results([{}], [1, 2], [1, 100], {"loss": np.arange(4.0).reshape(1, 2, 2)}, [1])
    assert found.plot("loss", log=log).axes[0].get_xscale() == scale


@pytest.mark.parametrize(("rates", "scale"), [([0.1, 10.0], "log"), ([1.0, 50.0], "linear"), ([0.0, 9.0], "linear")])
def test_plot_against_a_number(rates: list[float], scale: str) -> None:
    found = sweep_like(lr=rates[::-1], momentum=[0.0, 0.9])
    figure = found.plot("loss", x="lr")
    drawn = lines(figure)
    assert list(drawn) == ["momentum=0", "momentum=0.9"]
    assert drawn["momentum=0"].tolist() == [[rates[0], 20.0], [rates[1], 4.0]]
    (axes,) = figure.axes
    assert axes.get_xscale() == scale and (axes.get_xlabel(), axes.get_ylabel()) == ("lr", "loss")
    assert found.plot("loss", x="lr", log=False, ax=axes) is figure
    assert found.plot("loss", x="lr", log=True).axes[0].get_xscale() == "log"
    assert found.plot("loss", x="lr", log=False).axes[0].get_xscale() == "linear"


def test_unknown_names_are_named() -> None:
    with pytest.raises(KeyError, match="no metric 'loss': there are val_loss, val_accuracy"):
        results().final("loss")
    with pytest.raises(KeyError, match="no metric 'f1'"):
        results().best("val_loss", by="f1")
    with pytest.raises(KeyError, match="settings without 'momentum': slow; lr=1"):
        results().plot("val_loss", x="momentum")
