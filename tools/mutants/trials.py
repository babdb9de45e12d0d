"""Tests are collected once; then each fault is tried in a fork that runs the tests that meet it, fastest first."""

from __future__ import annotations

import ast
import gc
import importlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path

import coverage
import pytest

from tools.mutants.faults import Fault
from tools.mutants.forks import in_forks
from tools.mutants.graft import graft

__all__ = ["Trials"]

PASSED, FAILED = 0, 1
SPARE = 2.0  # seconds of computing that a test may take beyond three times what it usually takes
ENDS = {PASSED: "survived", -signal.SIGPROF: "timed out", -signal.SIGALRM: "timed out"}  # all others: killed


class Trials:
    """A pytest plugin that, in place of the tests, tries all faults."""

    def __init__(self, faults: dict[str, list[Fault]], package: str) -> None:
        self.faults, self.package = faults, package
        self.ends: list[tuple[str, Fault, str]] = []
        self.items: dict[str, pytest.Item] = {}
        self.seconds: dict[str, float] = {}
        self.tests: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))  # of a file and a line

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not before pytest, which has to rewrite it

        phases = (Phase.explicit, Phase.generate)  # the first counterexample is as good as the shortest
        settings.register_profile("mutants", deadline=None, database=None, derandomize=True, phases=phases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.items = {item.nodeid: item for item in session.items}
        folder = Path(tempfile.mkdtemp())
        try:
            self._measure(folder)
        finally:
            shutil.rmtree(folder)
        self._check()
        self._try_all()
        return True

    def _measure(self, folder: Path) -> None:
        """Run each file of tests in a fork of its own, and note which lines each test runs, and its time."""
        files: dict[Path, list[str]] = defaultdict(list)
        for name, item in self.items.items():
            files[item.path].append(name)
        reports = {file: folder / f"{index}.json" for index, file in enumerate(files)}
        jobs = ((file, partial(self._trace, tests, reports[file])) for file, tests in files.items())
        late: set[str] = set()
        for file, code in in_forks(jobs):
            if code != PASSED:
                pytest.exit(f"a test fails without any fault in the library: {file}", FAILED)
            seconds, lines, loaded = json.loads(reports[file].read_text("utf8"))
            self.seconds |= seconds
            late |= set(loaded)
            for path, tests_of in lines.items():
                for line, tests in tests_of.items():
                    self.tests[path][int(line)] += tests
        load(sorted(late))

    def _trace(self, tests: list[str], report: Path) -> int:
        before = set(sys.modules)
        tracer = coverage.Coverage(data_file=None, include=[f"{Path(self.package).resolve()}/*"], config_file=False)
        tracer.start()
        seconds = {}
        for name in tests:
            start = time.process_time()
            tracer.switch_context(name)
            if self._run([name]) != PASSED:
                return FAILED
            seconds[name] = time.process_time() - start
        tracer.stop()
        data = tracer.get_data()
        lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
        report.write_text(json.dumps([seconds, lines, sorted(set(sys.modules) - before)]), "utf8")
        return PASSED

    def _check(self) -> None:
        """Make sure that tests pass in the order of the trials, with each module's own statements grafted into it."""
        jobs = []
        for module, faults in self.faults.items():
            statements = {id(fault.statement): fault.statement for fault in faults}
            tests = {test for fault in faults for test in self._that_meet(module, fault)}
            jobs.append((module, partial(self._try, module, list(statements.values()), self._fastest_first(tests))))
        for module, code in in_forks(jobs):
            if code != PASSED:
                pytest.exit(f"{module}: its tests fail without any fault in it", FAILED)

    def _try_all(self) -> None:
        total = sum(map(len, self.faults.values()))
        jobs = (
            ((module, fault), partial(self._try, module, [fault.planted()], self._that_meet(module, fault)))
            for module, faults in self.faults.items()
            for fault in faults
        )
        for (module, fault), code in in_forks(jobs):
            end = ENDS.get(code, "killed") if self._that_meet(module, fault) else "met by no test"
            self.ends.append((module, fault, end))
            print(f"\r{len(self.ends)} of {total}", end="", flush=True)

    def _that_meet(self, module: str, fault: Fault) -> list[str]:
        """Return the tests that run one of the fault's lines."""
        tests_of = self.tests[str(importlib.import_module(module).__file__)]
        return self._fastest_first({test for line in fault.lines for test in tests_of.get(line, [])})

    def _fastest_first(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.seconds[test], test))

    def _try(self, module: str, statements: list[ast.stmt], tests: list[str]) -> int:
        loaded = importlib.import_module(module)
        try:
            for statement in statements:
                graft(loaded, statement)
        except Exception:
            return FAILED  # it cannot even be loaded
        return self._run(tests)

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
