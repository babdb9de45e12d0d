"""A small training run that is killed at a given moment, and resumed: `python -m tests.learning.killed_run FOLDER`.

Each run is a process of its own, forked from this one before it has computed anything.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from tricks_lib.learning.loop import evaluate, load_checkpoint, save_checkpoint, update

EPOCHS, BATCHES = 6, 6
KILLED = (
    ("SGD", "any time"),
    ("AdamW", "any time"),
    ("SGD", "half written"),
    ("AdamW", "not on the disk yet"),
    ("SGD", "complete, not renamed yet"),
    ("AdamW", "just renamed"),
)
OPTIMIZERS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "AdamW": {"lr": 0.01}}
save, fsync, replace = torch.save, os.fsync, os.replace


@dataclass(frozen=True)
class Decay:
    half: float

    def __call__(self, step: int) -> float:
        return self.half / (self.half + step)


def train(folder: Path, kind: str, tell: Callable[[], Any] = lambda: None) -> None:
    """Train, or go on training, for 6 epochs in all; then write down every bit of state that there is."""
    path = folder / "run.pt"
    fresh = not path.exists()
    torch.manual_seed(1 if fresh else 999)  # a resumed run must take nothing from its own start
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.3), nn.Linear(7, 3))
    optimizer = getattr(torch.optim, kind)(model.parameters(), **OPTIMIZERS[kind])
    schedule = LambdaLR(optimizer, Decay(20.0))
    order = torch.Generator().manual_seed(2 if fresh else 998)
    rng = torch.Generator().manual_seed(3)
    x, y = torch.randn(43, 5, generator=rng), torch.randint(3, (43,), generator=rng)
    shuffled = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=order)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    parts["generators"] = {"order": order}
    history = [] if fresh else load_checkpoint(path, **parts)["history"]

    def told() -> Iterator[Any]:
        for batch in shuffled:
            tell()
            yield batch

    for _ in range(len(history), EPOCHS):
        trained = update(model, told(), loss, optimizer, schedule=schedule, max_norm=1.0)
        history = [*history, [trained, evaluate(model, DataLoader(TensorDataset(x, y), batch_size=16), loss)]]
        save_checkpoint(path, **parts, history=history)
    end = {"history": history, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    end |= {"steps": schedule.last_epoch, "order": order.get_state(), "random": torch.get_rng_state()}
    save(end, f"{folder}.end")


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_half_and_die(content: Any, file: Any) -> None:
    buffer = BytesIO()
    save(content, buffer)
    file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    file.flush()
    die()


def replace_and_die(*paths: Any) -> None:
    replace(*paths)
    die()


def at(times: int, call: Callable[..., Any], last: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `call`, but `last` when it is called for that many times."""
    calls = iter([call] * (times - 1) + [last])
    return lambda *args: next(calls)(*args)


def arm(moment: str, times: int) -> None:
    if moment == "half written":
        torch.save = at(times, save, write_half_and_die)
    elif moment == "not on the disk yet":
        os.fsync = at(times, fsync, die)
    elif moment == "complete, not renamed yet":
        os.replace = at(times, replace, die)
    elif moment == "just renamed":
        os.replace = at(times, replace, replace_and_die)


def start(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def outcome(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_after(batches: int, folder: Path, kind: str) -> int:
    """Kill a run from outside, some time after it has begun with that many batches."""
    end, begin = os.pipe()
    told = count()

    def tell() -> None:
        os.write(begin, b".")
        time.sleep(0.002)
        if next(told) == batches + 3:
            signal.pause()  # so that it cannot come to its end however slow the other process is

    child = start(lambda: train(folder, kind, tell))
    for _ in range(batches):
        os.read(end, 1)
    time.sleep(random.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    return outcome(child)


def kill_and_resume(folder: Path, kind: str, moment: str) -> dict[str, Any]:
    folder.mkdir()
    batches = random.randint(BATCHES + 1, (EPOCHS - 1) * BATCHES)
    times = random.randint(2, EPOCHS)  # never the first save: there would be nothing to resume from

    def killed() -> None:
        arm(moment, times)
        train(folder, kind)

    died = kill_after(batches, folder, kind) if moment == "any time" else outcome(start(killed))
    left = sorted(path.name for path in folder.iterdir())
    resumed = outcome(start(lambda: train(folder, kind)))
    files = sorted(path.name for path in folder.iterdir())
    return {"died": died, "left": left, "resumed": resumed, "files": files, "batches": batches, "times": times}


def main(base: Path) -> None:
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)]).step()  # torch loads much at a first step: once, here, and not in every child
    for kind in OPTIMIZERS:
        (base / f"{kind} whole").mkdir()
        outcome(start(lambda kind=kind: train(base / f"{kind} whole", kind)))  # type: ignore[misc]
    reports = [(kind, moment, kill_and_resume(base / f"{kind} {moment}", kind, moment)) for kind, moment in KILLED]
    print(json.dumps(reports))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
