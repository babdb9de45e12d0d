"""How races are run: in one process, in turns, on one thread, and only after both sides agree."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results"
CLOCKS = ("cpu", "elapsed")
AT_LEAST = 0.05  # seconds that a turn takes; what is faster runs several times

Contender = Callable[[], Any]


@dataclass(frozen=True)
class Peer:
    """Whom to race: its package, a function that imports it and returns the contender, and our goal against it."""

    package: str
    prepare: Callable[[], Contender]
    goal: float | None = None
    call: str = ""  # what is called, as its users write it


@dataclass(frozen=True)
class Race:
    """One task, with its shapes and dtype in the name, and what ``off`` must not exceed for either side.

    ``off`` says how far what a contender returned is from what it should be.
    """

    name: str
    ours: Contender
    peers: Sequence[Peer]
    off: Callable[[Any], float]
    allowed: float


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each turn, by clock and contender."""
    repeats = {name: _repeats(run) for name, run in contenders.items()}
    times: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in contenders} for clock in CLOCKS}
    for _ in range(rounds):
        for name, run in contenders.items():
            cpu, elapsed = time.process_time(), time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times["cpu"][name].append((time.process_time() - cpu) / repeats[name])
            times["elapsed"][name].append((time.perf_counter() - elapsed) / repeats[name])
    return times


def compared(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return how many times as fast we are: the ratio of the medians, and the quartiles of the turns."""
    low, _, high = statistics.quantiles([b / a for a, b in zip(ours, theirs, strict=True)], n=4)
    ratio = statistics.median(theirs) / statistics.median(ours)
    return {"ratio": round(ratio, 3), "quartiles": [round(low, 3), round(high, 3)]}


def about(rounds: int) -> dict[str, Any]:
    """Return what the numbers depend on: facts of the machine, but not which one it is."""
    return {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "rounds": rounds,
    }


def run(race: Race, rounds: int) -> dict[str, Any]:
    """Race against all peers that can be imported; of the others say why not."""
    contenders, offs, skipped = {"ours": race.ours}, {"ours": _gate(race, "ours", race.ours)}, {}
    for peer in race.peers:
        try:
            contender = peer.prepare()
        except ImportError as error:
            skipped[peer.call] = f"{type(error).__name__}: {error}"
            continue
        contenders[peer.call], offs[peer.call] = contender, _gate(race, peer.call, contender)
    times = take_turns(contenders, rounds)
    peers = [
        {
            "peer": f"{peer.package} {version(peer.package)}",
            "call": peer.call,
            "seconds": round(statistics.median(times["cpu"][peer.call]), 6),
            **compared(times["cpu"]["ours"], times["cpu"][peer.call]),
            "elapsed": compared(times["elapsed"]["ours"], times["elapsed"][peer.call])["ratio"],
            "off": offs[peer.call],
            "goal": peer.goal,
        }
        for peer in race.peers
        if peer.call in contenders
    ]
    seconds = round(statistics.median(times["cpu"]["ours"]), 6)
    return {"case": race.name, "seconds": seconds, "off": offs["ours"], "peers": peers, "skipped": skipped}


def main(name: str, title: str, races: Sequence[Race]) -> None:
    """Run all races, print them, and write ``benchmarks/results/<name>.json``: commit it from a quiet machine only."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--rounds", type=int, default=7, help="at least 5 for numbers that are kept")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    reports = []
    with threadpool_limits(1):
        for race in races:
            reports.append(run(race, rounds))
            print("\n".join(lines(reports[-1])), flush=True)
    RESULTS.mkdir(exist_ok=True)
    content = {"about": about(rounds), "peers": reports}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def lines(report: Mapping[str, Any]) -> list[str]:
    """Return the races of a task as lines."""
    found = [f"{report['case']}: {1000 * report['seconds']:.2f} ms, off by {report['off']:.0e}"]
    for peer in report["peers"]:
        low, high = peer["quartiles"]
        goal = f", goal {peer['goal']:g}" if peer["goal"] else ""
        times = f"{1000 * peer['seconds']:.2f} ms, {peer['ratio']:.2f}x ({low:.2f} to {high:.2f})"
        found.append(f"  {peer['peer']} {peer['call']}: {times}, off by {peer['off']:.0e}{goal}")
    return found + [f"  skipped {call}: {reason}" for call, reason in report["skipped"].items()]


def _gate(race: Race, who: str, contender: Contender) -> float:
    off = race.off(contender())
    if not off <= race.allowed:
        raise SystemExit(f"{race.name}, {who}: off by {off:.1e}, allowed {race.allowed:.0e}")
    return off


def _repeats(run: Contender) -> int:
    run()  # what is only needed the first time
    start = time.perf_counter()
    run()
    return max(1, round(AT_LEAST / max(time.perf_counter() - start, 1e-9)))
