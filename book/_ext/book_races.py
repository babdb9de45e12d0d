"""``{race-table}``, ``{parity-table}`` and ``{peer-table}``: what ``benchmarks/*.py`` measured, losses beside wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sphinx.application import Sphinx

if TYPE_CHECKING:
    from book._ext.book_results import Results
else:
    from book_results import Results

Record = dict[str, Any]


def race_table(content: Record) -> list[str]:
    """Return a row for each race, with the goal beside what came out, and a line on where it was measured."""
    head = "| race | models | one by one | engine | times as fast | quartiles | by the clock | goal | off by |"
    rows = [head, "|---|--:|--:|--:|--:|---|--:|---|--:|", *map(_race, content["races"])]
    return [*rows, "", _where(content["about"], "seconds")]


def parity_table(content: Record) -> list[str]:
    """Return how far the two sides are apart in float64, for each kind of network and optimizer."""
    head = ["| network | optimizer | from the library's loop | from `torch.optim` |", "|---|---|--:|--:|"]
    rows = [
        f"| {row['model']} | {row['optimizer']} | {_tiny(row['library'])} | {_tiny(row['torch'])} |"
        for row in content["parity"]
    ]
    return [*head, *rows]


def peer_table(content: Record) -> list[str]:
    """Return a row for each peer in each race; a peer that could not be imported says why."""
    head = "| race | ours | off by | peer | theirs | off by | times as fast | quartiles | by the clock | goal |"
    rows = [row for race in content["peers"] for row in _peers(race)]
    return [head, "|---|--:|--:|---|--:|--:|--:|---|--:|---|", *rows, "", _where(content["about"], "milliseconds")]


def _peers(race: Record) -> list[str]:
    ours = [race["case"], f"{1000 * race['seconds']:.2f}", _tiny(race["off"])]
    rows = []
    for peer in race["peers"]:
        low, high = peer["quartiles"]
        goal = "none" if peer["goal"] is None else f"{peer['goal']:g}: {_reached(peer['ratio'], peer['goal'])}"
        theirs = [f"{peer['peer']}, `{peer['call']}`", f"{1000 * peer['seconds']:.2f}", _tiny(peer["off"])]
        times = [_ratio(peer["ratio"]), f"{low:.2f} to {high:.2f}", f"{peer['elapsed']:.2f}", goal]
        rows.append([*ours, *theirs, *times])
    skipped = [[*ours, f"`{call}`: {reason}", *["-"] * 6] for call, reason in race["skipped"].items()]
    return [f"| {' | '.join(row)} |" for row in rows + skipped]


def _race(race: Record) -> str:
    cpu = race["cpu"]
    low, high = cpu["quartiles"]
    cells = [race["case"], race["models"], f"{cpu['seconds'][cpu['best_loop']]:.2f}", f"{cpu['seconds']['engine']:.2f}"]
    cells += [
        _ratio(cpu["ratio"]),
        f"{low:.2f} to {high:.2f}",
        f"{race['elapsed']['ratio']:.2f}",
        _goal(race),
        _tiny(race["deviation"]),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _ratio(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio >= 1 else f"{ratio:.2f} (slower)"


def _reached(ratio: float, goal: float) -> str:
    return "reached" if ratio >= goal else "**missed**"


def _where(about: Record, unit: str) -> str:
    return (
        f"{about['date']}, {about['machine']}, {_threads(about['threads'])}, PyTorch {about['torch']}, Python "
        f"{about['python']}: medians of {about['rounds']} rounds, in {unit} of processor time."
    )


def _goal(race: Record) -> str:
    """Return what was to be reached, and whether it was."""
    if race["at_least"] is None:
        return "none"
    ratio = race["cpu"]["ratio"]
    reached = "aim reached" if ratio >= race["aim"] else _reached(ratio, race["at_least"])
    return f"{race['at_least']:g}, aim {race['aim']:g}: {reached}"


def _tiny(value: float | None) -> str:
    return "other noise" if value is None else f"{value:.0e}" if value else "0"


def _threads(n: int) -> str:
    return "one thread" if n == 1 else f"{n} threads"


class RaceTable(Results):
    """All races of a benchmark."""

    required_arguments = 1
    table: ClassVar[Any] = staticmethod(race_table)

    def lines(self) -> list[str]:
        return list(self.table(self.load(f"benchmarks/results/{self.arguments[0]}.json")))


class ParityTable(RaceTable):
    """How exactly the two sides of a benchmark agree."""

    table: ClassVar[Any] = staticmethod(parity_table)


class PeerTable(RaceTable):
    """All races against other libraries."""

    table: ClassVar[Any] = staticmethod(peer_table)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("race-table", RaceTable)
    app.add_directive("parity-table", ParityTable)
    app.add_directive("peer-table", PeerTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
