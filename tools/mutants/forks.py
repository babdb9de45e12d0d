"""Run jobs in forks of this process, a few at a time: each starts from what is loaded and leaves no trace."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TextIO, TypeVar

__all__ = ["WORKERS", "in_forks"]

WORKERS = 2
MEMORY = 8 << 30  # bytes; a fault may ask for any number of them
SECONDS = 300  # for a job that waits for ever
BROKEN = 70
T = TypeVar("T")
Job = Callable[[TextIO], int]  # writes what it found, and returns its exit code


def in_forks(jobs: Iterable[tuple[T, Job]]) -> Iterator[tuple[T, int, str]]:
    """Yield for each job its name, its exit code, which is negative if a signal ended it, and what it found."""
    running: dict[int, tuple[T, TextIO]] = {}
    with TemporaryDirectory() as folder, ExitStack() as reports:
        for name, job in jobs:
            if len(running) == WORKERS:
                yield _ended(running)
            report = reports.enter_context(TemporaryFile("w+"))
            if not (pid := os.fork()):
                _run(job, report, folder)
            running[pid] = name, report
        while running:
            yield _ended(running)


def _ended(running: dict[int, tuple[T, TextIO]]) -> tuple[T, int, str]:
    pid, status = os.wait()
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the job has started and left
    name, report = running.pop(pid)
    report.seek(0)
    found = report.read()
    report.close()
    if (code := os.waitstatus_to_exitcode(status)) == BROKEN:
        raise RuntimeError(f"the job of {name} broke, which says nothing of what it tried:\n{found}")
    return name, code, found


def _run(job: Job, report: TextIO, folder: str) -> None:
    """Run a job in silence, and end the process with its exit code."""
    code = BROKEN
    try:
        os.setpgid(0, 0)
        os.chdir(folder)  # a fault may write anywhere: not among the sources
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        code = job(report)
    except BaseException:
        traceback.print_exc(file=report)
    finally:
        report.flush()
        os._exit(code)
