"""MNIST's four files in miniature: 7 training and 3 test images of 5 x 4, written by a dumb encoder. No torch."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import math
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]  # where `tests` can be imported from


def idx(kind: int, shape: tuple[int, ...], body: bytes) -> bytes:
    """Encode an IDX file."""
    return bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + body


def pixels(count: int, start: int) -> bytes:
    return bytes((start + 37 * i) % 256 for i in range(count))


TRAIN, TEST, H, W = 7, 3, 5, 4
RAW = {
    "t10k-labels-idx1-ubyte": idx(8, (TEST,), bytes([7, 2, 1])),
    "train-labels-idx1-ubyte": idx(8, (TRAIN,), bytes([5, 0, 4, 1, 9, 2, 1])),
    "t10k-images-idx3-ubyte": idx(8, (TEST, H, W), pixels(math.prod((TEST, H, W)), 11)),
    "train-images-idx3-ubyte": idx(8, (TRAIN, H, W), pixels(math.prod((TRAIN, H, W)), 3)),
}
GZ = {name: gzip.compress(raw, mtime=0) for name, raw in RAW.items()}
FILES = {name: (len(raw), hashlib.sha256(raw).hexdigest()) for name, raw in RAW.items()}


def write(folder: Path, *, packed: bool = False) -> Path:
    """Put the four files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in RAW.items():
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(GZ[name] if packed else raw)
    return folder


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and time of change of all files below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


Handler = http.server.BaseHTTPRequestHandler
Reply = Callable[[Handler, str], None]


def send(handler: Handler, body: bytes, *, status: int = 200, length: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def good(handler: Handler, name: str) -> None:
    send(handler, GZ[name])


def not_found(handler: Handler, name: str) -> None:
    send(handler, b"no such key", status=404)


def truncated(handler: Handler, name: str) -> None:
    send(handler, GZ[name][:-9], length=len(GZ[name]))


def other_bytes(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(RAW[name][:-1] + b"!"))


def portal(handler: Handler, name: str) -> None:
    send(handler, b"<html>please log in</html>")


def bomb(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(bytes(500_000)))


def plain(handler: Handler, name: str) -> None:
    send(handler, RAW[name])


def trickle(handler: Handler, name: str) -> None:
    handler.send_response(200)
    handler.end_headers()
    for byte in GZ[name]:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.2)


def silent(handler: Handler, name: str) -> None:
    time.sleep(1.5)


def garbage(handler: Handler, name: str) -> None:
    handler.wfile.write(b"\x00\x01\x02 what is HTTP?\r\n\r\n")


class Quiet(http.server.ThreadingHTTPServer):
    """A server that does not talk about clients that hang up."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def serve(reply: Reply) -> Iterator[tuple[str, list[str]]]:
    """Run a mirror on this machine; yield its address and the list of names it was asked for."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/mnist/").removesuffix(".gz")
            asked.append(name)
            reply(self, name)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/mnist/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
