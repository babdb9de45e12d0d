"""Tests are collected once; then each fault is tried in a fork that runs the tests that meet it, fastest first.

What runs as a module loads, such as a table of constants, is met by all tests of the module and by those that run none
of its lines but look at it. There the tests in files of its name, such as `test_engine.py`, come first.
"""

from __future__ import annotations

import ast
import gc
import importlib
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import TextIO

import coverage
import pytest

from tools.mutants.faults import Fault
from tools.mutants.forks import WORKERS, in_forks
from tools.mutants.graft import graft

__all__ = ["Trials"]

PASSED, FAILED = 0, 1
SECONDS = 1.5  # of tests for each fault: of 1,200 that were noticed, none took longer; the others cost all of it
GROUPS = 8  # of tests that run in one fork while they are measured
SPARE = 2.0  # seconds of computing that a test may take beyond three times what it usually takes
ENDS = {PASSED: "survived", -signal.SIGPROF: "timed out", -signal.SIGALRM: "timed out"}  # all others: killed


class Trials:
    """A pytest plugin that, in place of the tests, tries all faults."""

    def __init__(self, faults: dict[str, list[Fault]], package: str, tell: Callable[[str, Fault, str], None]) -> None:
        self.faults, self.package, self.tell = faults, Path(package).resolve(), tell
        self.ends: list[tuple[str, Fault, str]] = []
        self.failure = ""
        self.items: dict[str, pytest.Item] = {}
        self.seconds: dict[str, float] = {}
        self.tests: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))  # of a file and a line

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import HealthCheck, Phase, settings  # not before pytest, which has to rewrite it

        phases = (Phase.explicit, Phase.generate)  # the first counterexample is as good as the shortest
        settings.register_profile(
            "mutants",
            deadline=None,
            database=None,
            derandomize=True,
            max_examples=50,  # half as many: what so many do not notice, others seldom do
            phases=phases,
            suppress_health_check=list(HealthCheck),  # a slow machine is no fault
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failure = f"{report.nodeid}\n{report.longreprtext}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.items = {item.nodeid: item for item in session.items}
        self._measure()
        self._check()
        self._try_all()
        return True

    def _measure(self) -> None:
        """Run all tests, a group in a fork, and note which lines each test runs, its time, and what it imports."""
        names = list(self.items)
        size = -(-len(names) // GROUPS)
        groups = [names[start : start + size] for start in range(0, len(names), size)]
        late: set[str] = set()
        for _, code, found in in_forks((tests[0], partial(self._trace, tests)) for tests in groups):
            if code != PASSED:
                pytest.exit(f"a test fails without any fault in the library: {found}", FAILED)
            seconds, lines, loaded = json.loads(found)
            self.seconds |= seconds
            late |= set(loaded)
            for path, tests_of in lines.items():
                for line, tests in tests_of.items():
                    self.tests[path][int(line)] += tests
        load(sorted(late))

    def _trace(self, tests: list[str], report: TextIO) -> int:
        before = set(sys.modules)
        tracer = coverage.Coverage(data_file=None, include=[f"{self.package}/*"], config_file=False)
        tracer.start()
        seconds = {}
        for name in tests:
            start = time.process_time()
            tracer.switch_context(name)
            if self._run([name]) != PASSED:
                report.write(self.failure)
                return FAILED
            seconds[name] = time.process_time() - start
        tracer.stop()
        data = tracer.get_data()
        lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
        json.dump([seconds, lines, sorted(set(sys.modules) - before)], report)
        return PASSED

    def _check(self) -> None:
        """Make sure that tests pass in the order of the trials, with all modules' own statements grafted into them."""
        own = {module: {id(one.statement): one.statement for one in faults} for module, faults in self.faults.items()}
        chosen = {test for module, faults in self.faults.items() for one in faults for test in self.meet(module, one)}
        tests = self._fastest_first(chosen)
        for _, code, found in in_forks((k, partial(self._repeat, own, tests[k::WORKERS])) for k in range(WORKERS)):
            if code != PASSED:
                pytest.exit(f"a test fails once the library's own code is grafted into it: {found}", FAILED)

    def _repeat(self, own: dict[str, dict[int, ast.stmt]], tests: list[str], report: TextIO) -> int:
        for module, statements in own.items():
            for statement in statements.values():
                graft(importlib.import_module(module), statement)
        code = self._run(tests)
        report.write(self.failure)
        return code

    def _try_all(self) -> None:
        jobs = (
            ((module, fault), partial(self._try, module, fault, self.meet(module, fault)))
            for module, faults in self.faults.items()
            for fault in faults
        )
        for (module, fault), code, _ in in_forks(jobs):
            end = ENDS.get(code, "killed") if self.meet(module, fault) else "met by no test"
            self.ends.append((module, fault, end))
            self.tell(module, fault, end)

    def meet(self, module: str, fault: Fault) -> list[str]:
        """Return the tests that run one of the fault's lines, as many as fit into some seconds."""
        tests_of = self.tests[str(importlib.import_module(module).__file__)]
        tests = self._fastest_first({test for line in fault.lines for test in tests_of.get(line, [])})
        if fault.loads:
            own = self._fastest_first(test for test in self.seconds if f"/test_{module.rpartition('.')[2]}" in test)
            tests = list(dict.fromkeys([*own, *tests]))
        spent = accumulate(self.seconds[test] for test in tests)
        return [test for test, seconds in zip(tests, spent, strict=True) if seconds < SECONDS] or tests[:1]

    def _fastest_first(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.seconds[test], test))

    def _try(self, module: str, fault: Fault, tests: list[str], _: TextIO) -> int:
        try:
            graft(importlib.import_module(module), fault.planted())
            return self._run(tests)
        except (Exception, KeyboardInterrupt):  # it cannot even be loaded, or ends pytest itself
            return FAILED

    def _run(self, tests: list[str]) -> int:
        """Run tests until one fails; one that computes for far too long ends the process."""
        items = [self.items[name] for name in tests]
        for item, following in zip_longest(items, items[1:]):
            signal.setitimer(signal.ITIMER_PROF, SPARE + 3 * self.seconds.get(item.nodeid, 100))
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return FAILED
        return PASSED


def load(names: list[str]) -> None:
    """Import what tests import as they run: torch alone takes half a second for that, and each fork would take it."""
    for name in names:
        with suppress(ImportError):  # a module that a test has made up
            importlib.import_module(name)
    gc.freeze()  # forks share what the collector does not touch
