"""One dialog, five ways in: the same text, byte for byte (conventions.md 1, 18.4)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
from attrs import frozen

from tests.support.program import Served, serving
from tests.support.ssh import client_options, run

HOST = "mail.example.com> "
SCRIPT: list[tuple[str, list[str]]] = [
    ("sethostname", ["bad name", "other.example.com"]),
    ("showchanges", []),
    ("destconfig", ["foo", "new", "d.test", "maybe", "", "", "", "", "9", "", "", "", "", "", ""]),
    ("destconfig new e.test --tls=required; destconfig detail e.test", []),
    ("version", []),
    ("nosuch", []),
    ("trace x", []),
    ("destconfig importt", []),
    ("clear", ["maybe", "y"]),
    ("commit", []),
    ("whoami; date", []),
]
"""What is typed at the prompt, and the answers to what it asks. Something is rejected in it, so its status is 1."""


@frozen
class Place:
    served: Served
    key_file: Path

    @property
    def ssh_options(self) -> list[str]:
        return [*client_options(self.key_file), "-p", str(self.served.port("ssh"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("transports")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key_file = root / "key"
    key.write_private_key(key_file)
    key_file.chmod(0o600)
    with serving(root) as served:
        line = f'sshconfig userkey new admin "{key.export_public_key().decode().strip()}"; commit "a key" Y'
        assert served.run("-c", line) == (0, "", "")
        yield Place(served, key_file)


def as_lines() -> bytes:
    return "".join(f"{line}\n" for command, answers in SCRIPT for line in (command, *answers)).encode()


def as_answers() -> bytes:
    return "".join(f"{answer}\n" for _, answers in SCRIPT for answer in answers).encode()


def as_one_line() -> str:
    return "; ".join(command for command, _ in SCRIPT)


def of_shell(output: str) -> str:
    """What the commands printed, without prompts and the blank lines around their output."""
    parts = [part.strip("\n") for part in output.split(HOST)]
    return "\n".join(part for part in parts if part)


async def through_pipe(place: Place) -> tuple[int, str]:
    status, output, errors = await asyncio.to_thread(place.served.run, stdin=as_lines())
    assert errors == ""
    return status, of_shell(output)


async def through_line(place: Place) -> tuple[int, str]:
    status, output, errors = await asyncio.to_thread(place.served.run, "-c", as_one_line(), stdin=as_answers())
    assert errors == ""
    return status, output.strip("\n")


async def through_exec(place: Place) -> tuple[int, str]:
    status, output, errors = await run(["ssh", *place.ssh_options, "admin@127.0.0.1", as_one_line()], as_answers())
    assert errors == b""
    return status, output.decode().strip("\n")


async def through_exec_with_pty(place: Place) -> tuple[int, str]:
    status, output, _ = await run(["ssh", "-tt", *place.ssh_options, "admin@127.0.0.1", as_one_line()], as_answers())
    return status, output.decode().replace("\r\n", "\n").strip("\n")


async def through_shell_without_pty(place: Place) -> tuple[int, str]:
    status, output, errors = await run(["ssh", "-T", *place.ssh_options, "admin@127.0.0.1"], as_lines())
    assert errors == b""
    return status, of_shell(without_banner(output.decode()))


def without_banner(output: str) -> str:
    assert output.startswith(("AsyncOS", "Last login"))
    return output[output.index(HOST) :]


async def through_shell_with_pty(place: Place) -> tuple[int, str]:
    output = ""
    async with asyncssh.connect(
        "127.0.0.1", place.served.port("ssh"), username="admin", client_keys=[str(place.key_file)], known_hosts=None, config=None
    ) as connection:
        process = await connection.create_process(term_type="xterm", term_size=(500, 24), encoding=None)
        for line in ["", *as_lines().decode().splitlines(), "exit"]:
            process.stdin.write(f"{line}\r".encode() if output else b"")
            got = ""
            while not got.endswith("> ") and (piece := await asyncio.wait_for(process.stdout.read(65536), 10)):
                got += piece.decode()
            assert got.startswith(line)
            output += got.removeprefix(line)
        await process.wait_closed()
    assert process.exit_status == 0, "with a keyboard"
    return 1, of_shell(without_banner(output.replace("\r\n", "\n")))


WAYS: list[Callable[[Place], Awaitable[tuple[int, str]]]] = [
    through_line,
    through_exec,
    through_exec_with_pty,
    through_shell_without_pty,
    through_shell_with_pty,
]


def without_times(text: str) -> str:
    return re.sub(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4}( GMT)?", "<date>", text)


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_shows_the_same(place: Place, way: Callable[[Place], Awaitable[tuple[int, str]]]) -> None:
    expected = await through_pipe(place)
    status, text = await way(place)
    assert without_blank_lines(text) == without_blank_lines(expected[1])
    assert status == expected[0] == 1


def without_blank_lines(text: str) -> list[str]:
    """Lines, less the blank ones that stand between two commands of one line."""
    return [line for line in without_times(text).split("\n") if line]


async def test_the_blank_lines_within_a_dialog_are_the_same_too(place: Place) -> None:
    command, answers = SCRIPT[2]
    text = "".join(f"{line}\n" for line in answers).encode()
    _, shell, _ = await asyncio.to_thread(place.served.run, stdin=f"{command}\n".encode() + text)
    status, line, _ = await asyncio.to_thread(place.served.run, "-c", command, stdin=text)
    assert status == 1
    assert of_shell(shell) == line.strip("\n")
