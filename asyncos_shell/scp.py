"""Copying files into and out of /configuration by the legacy SCP protocol (conventions.md 16).

`scp -t` receives, `scp -f` sends. A record is one line: `C<mode> <size> <name>` announces a file, `T…` its times (not
kept), `D…` a directory (refused). The other side confirms each step with one NUL; an error is `\\x01`, a text, LF.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from appliance_state.model.users import Role
from commands.answers import file_name
from commands.dialog import Rejected

DIRECTORY = "/configuration"
LARGEST = 16 * 1024 * 1024
LONGEST_RECORD = 64 * 1024
CHUNK = 256 * 1024
BARRED = frozenset({Role.GUEST, Role.READONLY, Role.HELPDESK})
DENIED = "Permission denied"
OK = b"\0"


class Failed(Exception):
    """The copy cannot be done; the text follows `scp: `."""


class Channel(Protocol):
    def use(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None: ...
    def send(self, data: bytes) -> None: ...


@frozen
class Request:
    """`path` as it was given."""

    sends: bool
    path: str
    recursive: bool


def parse(command: str) -> Request | None:
    """What an exec request asks of scp; None when it is another command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or words[0] != "scp":
        return None
    options = "".join(word[1:] for word in words[1:] if word.startswith("-") and word != "--")
    paths = [word for word in words[1:] if not word.startswith("-")]
    if not set(options) <= set("tfprvqd") or ("t" in options) == ("f" in options) or len(paths) > 1:
        return None
    return Request("f" in options, paths[0] if paths else "", "r" in options)


def is_scp(command: str) -> bool:
    return parse(command) is not None


def name_in_directory(path: str) -> str:
    """The bare file name of a path in /configuration, "" for the directory itself. Errors: Failed for any other place."""
    name = path
    if path == DIRECTORY or path.startswith(f"{DIRECTORY}/"):
        name = path[len(DIRECTORY) :].strip("/")
    name = name.removeprefix("./")
    if name in (".", ""):
        return ""
    if "/" in name or name == "..":
        raise Failed(f"{path}: {DENIED}")
    return name


def checked(name: str) -> str:
    """A name that a file may have. Errors: Failed."""
    try:
        return file_name(name)
    except Rejected:
        raise Failed(f"{name}: Symbols are not allowed in the file name") from None


async def serve_scp(channel: Channel, command: str, directory: Path, role: Role) -> int:
    """Run one copy; its exit status."""
    request = parse(command)
    assert request is not None
    copy = Copy(channel, directory)
    channel.use(copy.reader.feed_data, copy.reader.feed_eof)
    try:
        if request.recursive:
            raise Failed("recursive copies are not supported")
        if role in BARRED:
            raise Failed(f"{request.path}: {DENIED}")
        if request.sends:
            await copy.send_files(request.path)
        else:
            await copy.receive_files(request.path)
    except Failed as problem:
        channel.send(b"\x01scp: " + str(problem).encode("utf-8", "replace") + b"\n")
        return 1
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return 1
    return 0


@define(eq=False)
class Copy:
    """Both directions of the protocol. Errors: Failed; IncompleteReadError when the client breaks off."""

    channel: Channel
    directory: Path
    reader: asyncio.StreamReader = field(factory=lambda: asyncio.StreamReader(limit=LONGEST_RECORD))

    async def receive_files(self, path: str) -> None:
        wanted = name_in_directory(path)
        if wanted:
            checked(wanted)
        self.channel.send(OK)
        while record := await self._record():
            match record[:1]:
                case b"T":
                    self.channel.send(OK)
                case b"C":
                    await self._receive(record, wanted)
                case b"\x01" | b"\x02":
                    raise asyncio.IncompleteReadError(record, None)
                case b"D" | b"E":
                    raise Failed("recursive copies are not supported")
                case _:
                    raise Failed("protocol error")

    async def _record(self) -> bytes:
        """The next line, b"" at the end of the input."""
        try:
            return await self.reader.readuntil()
        except asyncio.IncompleteReadError as cut:
            if cut.partial:
                raise
            return b""

    async def _receive(self, record: bytes, wanted: str) -> None:
        try:
            _, size_text, offered = record[1:].decode().rstrip("\n").split(" ", 2)
            size = int(size_text)
        except ValueError:
            raise Failed("protocol error") from None
        name = checked(wanted or offered)
        if not 0 <= size <= LARGEST:
            raise Failed(f"{name}: File too large")
        if (self.directory / name).is_symlink():
            raise Failed(f"{name}: {DENIED}")
        self.channel.send(OK)
        content = await self.reader.readexactly(size)
        if await self.reader.readexactly(1) != OK:
            raise asyncio.IncompleteReadError(b"", None)
        try:
            await asyncio.to_thread(store, self.directory / name, content)
        except OSError as error:
            raise Failed(f"{name}: {error.strerror}") from None
        self.channel.send(OK)

    async def send_files(self, path: str) -> None:
        wanted = name_in_directory(path)
        names = sorted(entry.name for entry in self.directory.iterdir() if not entry.name.startswith("."))
        found = [name for name in names if name == wanted] or fnmatch.filter(names, wanted)
        if not wanted:
            raise Failed(f"{path}: not a regular file")
        if not found:
            raise Failed(f"{path}: No such file or directory")
        await self._confirmed()
        for name in found:
            file = self.directory / name
            if file.is_symlink() or not file.is_file():
                raise Failed(f"{name}: {DENIED}")
            content = await asyncio.to_thread(file.read_bytes)
            self.channel.send(f"C0600 {len(content)} {name}\n".encode())
            await self._confirmed()
            for start in range(0, len(content), CHUNK):
                self.channel.send(content[start : start + CHUNK])
            self.channel.send(OK)
            await self._confirmed()

    async def _confirmed(self) -> None:
        if await self.reader.readexactly(1) != OK:
            raise asyncio.IncompleteReadError(b"", None)


def store(path: Path, content: bytes) -> None:
    """Put a file (0600) in its place at once; an interrupted copy leaves the old one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".scp-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
