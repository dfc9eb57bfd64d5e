"""A local session at an appliance that runs in another process: the client of its private socket (`frames`).

Imports next to nothing, so that a script that attaches starts at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from asyncos_shell import frames
from asyncos_shell.keys import keys, screen_size
from asyncos_shell.paths import socket_path

STDIN, STDOUT = 0, 1
CHUNK = 64 * 1024
START_SECONDS = 15.0
"""how long an appliance that holds its lock may take until it answers"""
LOOK_AGAIN = 0.05


class NotRunning(Exception):
    """No appliance runs on the state directory."""


def is_running(state: Path) -> bool:
    """Whether a process holds the lock of a state directory."""
    try:
        lock = os.open(state / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def connect(state: Path) -> socket.socket:
    """A connection to the appliance; waits while it starts. Errors: NotRunning."""
    deadline = time.monotonic() + START_SECONDS
    while is_running(state):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with socket_path(state / "console.sock") as name:
                sock.connect(name)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_AGAIN)
    raise NotRunning


def attach(state: Path, *, line: str | None) -> int:
    """Run a session; its exit status. Errors: NotRunning."""
    sock = connect(state)
    tty = os.isatty(STDIN)
    hello = {
        "keyboard": tty and line is None,
        "echo": tty,
        "line": line,
        "size": screen_size(STDIN) if tty else (0, 0),
        "term": os.environ.get("TERM", ""),
    }
    with ExitStack() as stack:
        stack.enter_context(sock)
        if tty:
            stack.enter_context(keys(STDIN))
        relay = Relay(sock, frames.frame(frames.HELLO, json.dumps(hello).encode()))
        if tty:
            stack.enter_context(relay.size_changes())
        status = relay.run()
    if status is None:
        print("Error: The appliance has ended.", file=sys.stderr)
        return 1
    return status


class Relay:
    """Carries octets both ways, waiting for whichever side is ready, until the exit status comes."""

    def __init__(self, sock: socket.socket, first: bytes) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._outgoing = bytearray(first)
        self._frames = frames.Frames()
        self._input_open = True
        self._status: int | None = None
        self._wake: int | None = None

    def size_changes(self) -> ExitStack:
        """Pass on changes of the screen's size until the result is closed."""
        stack = ExitStack()
        self._wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.signal(signal.SIGWINCH, lambda *_: None)
        woken = signal.set_wakeup_fd(write_end)
        stack.callback(os.close, self._wake)
        stack.callback(os.close, write_end)
        stack.callback(signal.signal, signal.SIGWINCH, before)
        stack.callback(signal.set_wakeup_fd, woken)
        return stack

    def run(self) -> int | None:
        """The exit status; None when the appliance has gone."""
        while self._status is None:
            sources: list[int] = [self._sock.fileno()]
            if self._input_open and len(self._outgoing) < CHUNK:
                sources.append(STDIN)
            if self._wake is not None:
                sources.append(self._wake)
            readable, writable, _ = select.select(sources, [self._sock] if self._outgoing else [], [])
            if writable:
                self._send()
            try:
                if self._sock.fileno() in readable and not self._receive():
                    break
            except ConnectionResetError:
                break
            if STDIN in readable:
                self._take_input()
            if self._wake in readable and self._wake is not None:
                os.read(self._wake, CHUNK)
                self._outgoing += frames.frame(frames.SIZE, b"%d %d" % screen_size(STDIN))
        return self._status

    def _send(self) -> None:
        """A command that is done hears nothing more; what it has said is still to be read."""
        try:
            del self._outgoing[: self._sock.send(self._outgoing)]
        except (BrokenPipeError, ConnectionResetError):
            self._outgoing.clear()
            self._input_open = False

    def _take_input(self) -> None:
        data = os.read(STDIN, CHUNK)
        self._input_open = bool(data)
        self._outgoing += frames.frame(frames.INPUT, data) if data else frames.frame(frames.END)

    def _receive(self) -> bool:
        data = self._sock.recv(CHUNK)
        for kind, content in self._frames.feed(data):
            if kind == frames.OUTPUT:
                _write(content)
            elif kind == frames.STATUS:
                self._status = int(content)
        return bool(data)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(STDOUT, left) :]
