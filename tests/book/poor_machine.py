"""Troubles of a machine: a small book has this as its `sitecustomize.py`, so that all processes of its build meet them.

None reaches the network.  TROUBLE_AT names a file: half of it is written, then the disk is full or the build is killed.
"""

import errno
import os
import re
import signal
import sys

TROUBLE, AT = os.environ.get("TROUBLE"), os.environ.get("TROUBLE_AT")
HERE = (None, "", "localhost", "127.0.0.1", "::1")


def meet(event, args):
    if event == "socket.getaddrinfo" and args[0] not in HERE:
        raise OSError(errno.ENETUNREACH, f"no network here: {args[0]}")
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in HERE:
        raise OSError(errno.ENETUNREACH, f"no network here: {args[1][0]}")
    if event == "open" and AT and "w" in (args[1] or "") and re.search(AT, str(args[0])):
        cut_short(str(args[0]))


def cut_short(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, b'{"half')
    os.close(file)
    os.close(os.open(f"trouble-{os.getpid()}", os.O_CREAT))
    if TROUBLE == "killed":
        os.killpg(0, signal.SIGKILL)
    raise OSError(errno.ENOSPC, "No space left on device", path)


sys.modules["rfc3987_syntax"] = None  # an option of jsonschema that takes a second to load, in each of these processes
sys.addaudithook(meet)
