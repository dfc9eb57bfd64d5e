"""The process that writes the queue's database (`store`), one transaction after the other.

Standard input is the channel to the appliance, with which the process ends: what the appliance had not sent whole is not begun.
A request is its length in four octets and a marshalled value: first the path and the limit of the file, then lists of statements.
The answer to each list is a line of JSON: null, or whether there is no room, whether it may be on disk after all, and the reason.
"""

from __future__ import annotations

import json
import marshal
import signal
import socket
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from appliance_runtime.queue.database import Database, Statement, is_full

LENGTH = struct.Struct("!Q")


Request = tuple[str, int] | list[Statement]


def packed(request: Request) -> bytes:
    """What is sent."""
    octets = marshal.dumps(request)
    return LENGTH.pack(len(octets)) + octets


def serve(database: Database, requests: Iterator[Any], channel: socket.socket) -> None:
    """Carry out every request."""
    for statements in requests:
        try:
            database.transaction(statements)
        except sqlite3.Error as error:
            answer = json.dumps([is_full(error), database.uncertain, str(error)])
        else:
            answer = "null"
        channel.sendall(answer.encode() + b"\n")


def requests_from(stream: BinaryIO) -> Iterator[Any]:
    """Every whole request, to the end of the channel."""
    while len(head := stream.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        octets = stream.read(length)
        if len(octets) < length:
            return
        yield marshal.loads(octets)


def main(database: type[Database] = Database) -> None:
    """The process."""
    # The appliance says when to end; a service manager may tell all its processes at once.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as channel, channel.makefile("rb") as stream:
        requests = requests_from(stream)
        path, limit = next(requests)
        serve(database(Path(path), limit=limit), requests, channel)
