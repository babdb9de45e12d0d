"""Run jobs in forks of this process, a few at a time: each starts from what is loaded and leaves no trace."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

__all__ = ["WORKERS", "in_forks"]

WORKERS = 2
MEMORY = 8 << 30  # bytes; a fault may ask for any number of them
SECONDS = 300  # for a job that waits for ever
BROKEN = 70
T = TypeVar("T")


def in_forks(jobs: Iterable[tuple[T, Callable[[], int]]]) -> Iterator[tuple[T, int]]:
    """Yield for each job its name and its exit code, which is negative if a signal ended it."""
    running: dict[int, T] = {}
    for name, job in jobs:
        if len(running) == WORKERS:
            yield _ended(running)
        if not (pid := os.fork()):
            _run(job)
        running[pid] = name
    while running:
        yield _ended(running)


def _ended(running: dict[int, T]) -> tuple[T, int]:
    pid, status = os.wait()
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the job has started and left
    if (code := os.waitstatus_to_exitcode(status)) == BROKEN:
        raise RuntimeError(f"the job of {running[pid]} broke, which says nothing of what it tried")
    return running.pop(pid), code


def _run(job: Callable[[], int]) -> None:
    """Run a job in silence, and end the process with its exit code."""
    code = BROKEN
    heard = os.fdopen(os.dup(2), "w")
    try:
        os.setpgid(0, 0)
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        code = job()
    except BaseException:
        traceback.print_exc(file=heard)
        heard.flush()
    finally:
        os._exit(code)
