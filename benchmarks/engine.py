"""How fast is `sweep`, against training the same models one after the other?  ``python -m benchmarks.engine``.

Both sides train the same models (same initial values, same batches), from their construction to their evaluation
after every epoch, on one thread. First the two must agree: in float64 to rounding, in float32 in accuracy. Then they
take turns, round by round, and the medians of processor time and of elapsed time are compared. The sequential side is
what PyTorch users write, with the fastest of the optimizer's variants. All cases are reported, lost ones too.

A run of all cases writes ``benchmarks/results/engine.json``, which the book shows: commit it from a quiet machine only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.rounds import CLOCKS, about, compared
from tests.experiment import tasks
from tricks_lib.data.datasets import load_digits8, load_mnist_small
from tricks_lib.experiment.engine import sweep
from tricks_lib.experiment.settings import Setting, grid
from tricks_lib.learning.draws import stream
from tricks_lib.learning.dropout import Dropout
from tricks_lib.learning.optimizers import SGD, AdamW, RuleOptimizer

Sets = Mapping[str, tuple[Tensor, Tensor]]
RATES = [0.003, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3]
OUTPUT = Path(__file__).parent / "results" / "engine.json"
BATCH = 32


@dataclass(frozen=True)
class Case:
    """One race: which models, how many, and by how much the engine has to win."""

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], Sets]
    settings: list[Setting]
    seeds: int
    epochs: int = 5
    optimizer: type[RuleOptimizer] = SGD
    at_least: float | None = None
    aim: float | None = None
    plain: Callable[[], nn.Module] | None = field(default=None)  # the same with torch's own layers, if they differ

    @property
    def models(self) -> int:
        """How many are trained."""
        return len(self.settings) * self.seeds


def mlp(inputs: int, hidden: int) -> nn.Module:
    """Return a network with one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def dropout_mlp(layer: type[nn.Module]) -> nn.Module:
    """Return a network with dropout on its hidden layer."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), layer(0.3), nn.Linear(64, 10))


def normed_mlp() -> nn.Module:
    """Return a network with batch norm."""
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def strided_cnn(side: int) -> nn.Module:
    """Return a convolutional network that shrinks the image by strides."""
    layers = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * ((side + 3) // 4) ** 2, 10))


def pooled_cnn(side: int) -> nn.Module:
    """Return a convolutional network that shrinks the image by pooling."""
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 10))


def digits(*, flat: bool = True) -> Sets:
    """Return 1,000 + 400 digits of 8 x 8 pixels."""
    x, y = load_digits8()
    x = (x.flatten(1) if flat else x).float() / 16
    return {"train": (x[:1000], y[:1000]), "test": (x[1000:1400], y[1000:1400])}


def mnist(side: int, *, flat: bool) -> Sets:
    """Return 1,000 + 400 digits of MNIST."""
    data = load_mnist_small(side=side)
    x, test = data.x_train[:1000].float() / 255, data.x_test[:400].float() / 255
    if flat:
        x, test = x.flatten(1), test.flatten(1)
    return {"train": (x, data.y_train[:1000]), "test": (test, data.y_test[:400])}


def images() -> Sets:
    """Return `digits` as images."""
    return digits(flat=False)


PARITY = [("MLP", "mlp"), ("MLP with batch norm", "normed_mlp"), ("CNN", "cnn")]
RULES: list[tuple[type[RuleOptimizer], Any, list[Setting]]] = [
    (SGD, torch.optim.SGD, grid(lr=[0.05, 0.3], momentum=[0.9], weight_decay=[0.01], label_smoothing=[0.0, 0.2])),
    (AdamW, torch.optim.AdamW, grid(lr=[0.003, 0.03], weight_decay=[0.0, 0.1], label_smoothing=[0.1])),
]
MOMENTUM = grid(lr=RATES, momentum=[0.9])
CASES = [
    Case("64-64-10, SGD", lambda: mlp(64, 64), digits, MOMENTUM, 8, at_least=5, aim=8),
    Case("64-64-10, AdamW", lambda: mlp(64, 64), digits, grid(lr=[r / 10 for r in RATES]), 8, optimizer=AdamW),
    Case("64-64-10, SGD, 64 seeds", lambda: mlp(64, 64), digits, MOMENTUM[4:5], 64),
    Case("... with batch norm", normed_mlp, digits, MOMENTUM, 8),
    Case("... with dropout", lambda: dropout_mlp(Dropout), digits, MOMENTUM, 8, plain=lambda: dropout_mlp(nn.Dropout)),
    Case("784-128-10, SGD", lambda: mlp(784, 128), lambda: mnist(28, flat=True), MOMENTUM, 8, 2, at_least=1.2, aim=2),
    Case("CNN, stride 2, 8x8", lambda: strided_cnn(8), images, MOMENTUM, 8, 2, at_least=2.5, aim=4),
    Case("CNN, stride 2, 14x14", lambda: strided_cnn(14), lambda: mnist(14, flat=False), MOMENTUM, 4, 2),
    Case("CNN, max-pooling, 8x8", lambda: pooled_cnn(8), images, MOMENTUM, 8, 2),
    Case("CNN, max-pooling, 14x14", lambda: pooled_cnn(14), lambda: mnist(14, flat=False), MOMENTUM, 4, 1),
    Case("64-64-10, 8 models", lambda: mlp(64, 64), digits, MOMENTUM, 1),
    Case("64-64-10, 1 model", lambda: mlp(64, 64), digits, MOMENTUM[4:5], 1),
]


def in_the_engine(case: Case, sets: Sets, dtype: torch.dtype = torch.float32) -> Any:
    """Return losses and accuracies (settings, seeds) on the test data, by `sweep`."""
    results = sweep(
        lambda: case.model().to(dtype),
        sets,
        case.settings,
        seeds=list(range(case.seeds)),
        epochs=case.epochs,
        batch_size=BATCH,
        optimizer=case.optimizer,
    )
    return np.stack([results.final("test_loss"), results.final("test_accuracy")])


def one_by_one(case: Case, sets: Sets, dtype: torch.dtype = torch.float32, **variant: bool) -> Any:
    """Return losses and accuracies (settings, seeds) on the test data, by a loop."""
    scores = np.zeros((2, len(case.settings), case.seeds))
    for i, setting in enumerate(case.settings):
        for seed in range(case.seeds):
            scores[:, i, seed] = train_one(case, setting, seed, sets, dtype, variant)
    return scores


def train_one(
    case: Case, setting: Setting, seed: int, sets: Sets, dtype: torch.dtype, variant: dict[str, bool]
) -> tuple[float, float]:
    """Train one model as PyTorch users do."""
    torch.manual_seed(seed)
    model = (case.plain or case.model)().to(dtype)
    kind = torch.optim.SGD if case.optimizer is SGD else torch.optim.AdamW
    optimizer = kind(model.parameters(), **setting, **variant)
    order, (x, y), (x_test, y_test) = stream(seed, "order"), sets["train"], sets["test"]
    for _ in range(case.epochs):
        model.train()
        for index in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x.index_select(0, index)), y.index_select(0, index)).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            outputs = model(x_test)
            loss, right = F.cross_entropy(outputs, y_test), outputs.argmax(1) == y_test
    return loss.item(), right.float().mean().item()


def parity() -> list[dict[str, Any]]:
    """Return how far the engine ends from one model at a time in float64, by the library's optimizers and torch's."""
    rows = []
    for title, name in PARITY:
        make_model, sets = tasks.of_type(tasks.MODELS[name], torch.float64), tasks.data(image=name == "cnn")
        for rule, reference, settings in RULES:
            ours, theirs = (tasks.deviation(make_model, sets, settings, [1, 2, 3], rule, r) for r in (rule, reference))
            allowed = 1e-7 if (rule, name) == (AdamW, "normed_mlp") else 1e-12  # Adam amplifies what batch norm cancels
            if max(ours, theirs) > allowed:
                raise SystemExit(f"{title}, {rule.__name__}: off by {ours:.1e} and {theirs:.1e}, allowed {allowed:.0e}")
            rows.append({"model": title, "optimizer": rule.__name__, "library": ours, "torch": theirs})
    return rows


def check_equal(case: Case, sets: Sets) -> dict[str, float | None]:
    """Raise unless both sides train the same models, and return how much they differ."""
    few = Case(case.name, case.model, case.data, case.settings[:2], min(2, case.seeds), 1, case.optimizer)
    exact = {name: (x.double(), y) for name, (x, y) in sets.items()}
    rounding = float(abs(in_the_engine(few, exact, torch.float64) - one_by_one(few, exact, torch.float64))[0].max())
    accuracy = float(np.mean(in_the_engine(case, sets)[1] - one_by_one(case, sets)[1]))
    random = case.plain is not None  # layers with noise of their own: equal in distribution only
    if (rounding > 1e-9 and not random) or abs(accuracy) > 0.01:
        raise SystemExit(f"{case.name}: the two sides differ, loss by {rounding:.1e}, mean accuracy by {accuracy:+.4f}")
    return {"deviation": None if random else rounding, "accuracy_difference": accuracy}


def race(case: Case, sets: Sets, rounds: int) -> dict[str, Any]:
    """Let the contenders take turns, and return their times."""
    contenders: dict[str, Callable[[], Any]] = {
        "engine": lambda: in_the_engine(case, sets),
        "fused": lambda: one_by_one(case, sets, fused=True),
        "foreach": lambda: one_by_one(case, sets, foreach=True),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    report: dict[str, Any] = {"case": case.name, "models": case.models, "at_least": case.at_least, "aim": case.aim}
    for k, clock in enumerate(CLOCKS):
        columns = {name: [pair[k] for pair in pairs] for name, pairs in times.items()}
        middle = {name: statistics.median(column) for name, column in columns.items()}
        best = min(("fused", "foreach"), key=lambda name: middle[name])
        report[clock] = {
            "seconds": {name: round(value, 4) for name, value in middle.items()},
            "best_loop": best,
            **compared(columns["engine"], columns[best]),
        }
    return report


def line(report: Mapping[str, Any]) -> str:
    """Return one row of the table."""
    cpu, seconds, (low, high) = report["cpu"], report["cpu"]["seconds"], report["cpu"]["quartiles"]
    goal = f"at least {report['at_least']:g}, aim {report['aim']:g}" if report["at_least"] else ""
    return (
        f"{report['case']:<26}{report['models']:>7}{seconds['engine']:>9.2f}{seconds[cpu['best_loop']]:>8.2f}"
        f"{cpu['ratio']:>8.2f}x  ({low:.2f} to {high:.2f}){report['elapsed']['ratio']:>7.2f}x  {goal}"
    )


def main() -> None:
    """Run all races, print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="at least 5 for numbers that are kept")
    parser.add_argument("--only", default="", help="run the cases whose name contains this, and write nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    same = [] if options.only else parity()
    for row in same:
        off = f"{row['library']:.1e} from the library's loop, {row['torch']:.1e} from torch.optim"
        print(f"{row['model']}, {row['optimizer']}, float64: at most {off}")
    print(f"{'case':<26}{'models':>7}{'engine':>9}{'loop':>8}{'faster':>9}  {'quartiles':<16}{'elapsed':>7}")
    reports, missed = [], []
    for case in CASES:
        if options.only in case.name:
            sets = case.data()
            differences = check_equal(case, sets)
            reports.append({**race(case, sets, options.rounds), **differences})
            print(line(reports[-1]), flush=True)
            if case.at_least and reports[-1]["cpu"]["ratio"] < case.at_least:
                missed.append(case.name)
    print(f"\nSeconds of processor time, medians of {options.rounds} rounds")
    if not options.only:
        OUTPUT.parent.mkdir(exist_ok=True)
        content = {"about": about(options.rounds), "races": reports, "parity": same}
        OUTPUT.write_text(json.dumps(content, indent=1) + "\n")
    if missed:
        raise SystemExit(f"slower than required: {', '.join(missed)}")


if __name__ == "__main__":
    main()
