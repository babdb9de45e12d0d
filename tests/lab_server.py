"""`make lab` as it is, in a copy of the book: a JupyterLab server on a free port, which ends with the test."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from websocket import create_connection

ROOT = Path(__file__).resolve().parents[1]


class Lab:
    """A running server, and the folder that it serves."""

    def __init__(self, folder: Path, port: int, token: str) -> None:
        self.folder, self.address, self.token = folder, f"127.0.0.1:{port}", token

    def ask(self, place: str, method: str = "GET", /, **body: Any) -> Any:
        """Return what the server's REST API answers."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"http://{self.address}/api{place}", data, method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def open(self, name: str) -> Any:
        """Return a text as the notebook that JupyterLab shows."""
        return self.ask(f"/contents/{name}.md?type=notebook&content=1")["content"]

    def save(self, name: str, notebook: Any) -> str:
        """Save a notebook, as JupyterLab does, and return the text that then is in the file."""
        self.ask(f"/contents/{name}.md", "PUT", type="notebook", format="json", content=notebook)
        return (self.folder / f"{name}.md").read_text("utf8")

    def run(self, name: str, code: str) -> str:
        """Return what code prints in the kernel of a chapter."""
        session = self.ask(
            "/sessions", "POST", path=f"{name}.md", name=name, type="notebook", kernel={"name": "python3"}
        )
        channels = f"ws://{self.address}/api/kernels/{session['kernel']['id']}/channels?token={self.token}"
        header = {"msg_id": "1", "msg_type": "execute_request", "username": "", "session": "1", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        with closing(create_connection(channels, timeout=60)) as socket_:
            socket_.send(
                json.dumps(
                    {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
                )
            )
            return "".join(_printed(socket_))


def _printed(channels: Any) -> Iterator[str]:
    while message := json.loads(channels.recv()):
        if message["parent_header"].get("msg_id") != "1":
            continue
        if message["msg_type"] == "stream":
            yield message["content"]["text"]
        if message["msg_type"] == "error":
            raise AssertionError("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Copy the book, start the server on it, and end it and its kernels."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("book", "tools", "tricks_lib"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "history*", "db"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Lab(folder, port, secrets.token_hex())
    flags = f"--no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0"
    command = ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.ready", "lab", f"LAB={flags}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAKE", "JUPYTER"))}
    env |= {"JUPYTER_TOKEN": running.token, "PYTHONPATH": str(folder), "HOME": str(folder / "home")}
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(running, server)
        yield running
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(running: Lab, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            running.ask("")
            return
        except OSError:
            said = (running.folder / "lab.log").read_text("utf8")
            assert server.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)
