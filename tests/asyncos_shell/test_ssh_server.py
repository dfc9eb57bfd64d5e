"""SSH: login, transports, bytes on the wire, many and lost sessions (conventions.md 1, 2, 14, 15)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import attrs
import pytest

from appliance_runtime.sessions import MAX_SESSIONS, Session
from appliance_runtime.vault import SealedFiles
from appliance_state.model.users import User
from appliance_state.secrets import Seal
from asyncos_shell.host_keys import first_key, second_key
from asyncos_shell.shell import Shell
from asyncos_shell.terminals.lines import LineTerminal
from commands import exit as exit_command
from commands import passphrase, sethostname, setttymode, sshconfig, version, who
from commands.dialog import Conversation
from commands.help import help_command
from commands.registry import Command, Registry
from tests.support.edge import PASSPHRASE
from tests.support.ssh import Service, ssh_service
from tests.support.wire import until

PROMPT = b"mail.example.com> "


async def flood(talk: Conversation, session: Session) -> None:
    for _ in range(3000):
        talk.say("x" * 1000)


async def wait_for_ever(talk: Conversation, session: Session) -> None:
    talk.say("waiting")
    await asyncio.Event().wait()


async def ask(talk: Conversation, session: Session) -> None:
    talk.say(f"You said: {await talk.ask('Say something:', str, key='text')}")


async def listing(talk: Conversation, session: Session) -> None:
    await talk.page("\n".join(f"row {number}" for number in range(50)))


async def fault(talk: Conversation, session: Session) -> None:
    raise ZeroDivisionError("a bug")


async def secret(talk: Conversation, session: Session) -> None:
    value = await talk.hidden("Enter passphrase:", key="secret")
    talk.say(f"{len(value)} characters")


def make_registry() -> Registry:
    registry = Registry()
    registry.add(
        [
            Command("flood", "Says much.", dialog=flood),
            Command("wait", "Waits.", dialog=wait_for_ever),
            Command("ask", "Asks.", dialog=ask),
            Command("listing", "Lists 50 rows.", dialog=listing),
            setttymode.COMMAND,
            Command("fault", "Has a bug.", dialog=fault),
            Command("secret", "Asks for a secret.", dialog=secret),
            sethostname.COMMAND,
            exit_command.COMMAND,
            passphrase.COMMAND,
            sshconfig.COMMAND,
            who.WHO,
            who.WHOAMI,
            who.LAST,
            *version.COMMANDS,
        ]
    )
    registry.add([help_command(registry)])
    return registry


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with ssh_service(tmp_path, make_registry()) as running:
        yield running


async def shell(connection: asyncssh.SSHClientConnection, term: str | None = "xterm-256color") -> asyncssh.SSHClientProcess[bytes]:
    size = (80, 24) if term else None
    return await connection.create_process(term_type=term, term_size=size, encoding=None)


async def until_output(process: asyncssh.SSHClientProcess[bytes], end: bytes) -> bytes:
    """Everything that came up to and including `end`."""
    async with asyncio.timeout(5):
        got = b""
        while not got.endswith(end):
            piece = await process.stdout.read(65536)
            assert piece, f"closed after {got!r}"
            got += piece
        return got


async def finished(process: asyncssh.SSHClientProcess[bytes], limit: float = 5) -> tuple[bytes, int | None]:
    """(the rest of the output, exit status)."""
    async with asyncio.timeout(limit):
        rest = await process.stdout.read()
        await process.wait_closed()
        return rest, process.exit_status


# -- login ----------------------------------------------------------------------------------------------------------


class Keyboard(asyncssh.SSHClient):
    """Answers keyboard-interactive questions and keeps them."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, list[tuple[str, bool]]]] = []

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        self.asked.append((name, instructions, list(prompts)))
        return [self.answer] * len(prompts)


async def test_login_by_keyboard_interactive_asks_exactly_password(service: Service) -> None:
    client = Keyboard(PASSPHRASE)
    async with service.connected(client_keys=None, client_factory=lambda: client, preferred_auth="keyboard-interactive"):
        assert client.asked[0] == ("", "", [("Password:", False)])
    assert [name for name, _ in service.appliance.logs.events] == ["authentication.success", "authentication.logged_on"]


async def test_login_by_password(service: Service) -> None:
    async with service.connected(client_keys=None, password=PASSPHRASE, preferred_auth="password"):
        pass


async def test_login_by_key_is_logged(service: Service) -> None:
    async with service.connected():
        pass
    assert service.appliance.logs.events[1][1] == {"user": "admin", "remote": "127.0.0.1", "role": "admin", "protocol": "SSH"}


@pytest.mark.parametrize("user", ["admin", "nobody"])
async def test_a_wrong_passphrase_is_refused(service: Service, user: str) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with service.connected(client_keys=None, username=user, password="ironport", preferred_auth="password"):
            pass
    assert service.appliance.logs.events == [("authentication.failure", {"user": user, "remote": "127.0.0.1", "protocol": "SSH"})]


async def test_an_unknown_key_and_a_disabled_user_are_refused(service: Service) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with service.connected(client_keys=[asyncssh.generate_private_key("ssh-ed25519")], preferred_auth="publickey"):
            pass
    service.appliance.set_user(attrs.evolve(service.appliance.config.users["admin"], enabled=False))
    with pytest.raises(asyncssh.PermissionDenied):
        async with service.connected(preferred_auth="publickey"):
            pass


class Stubborn(Keyboard):
    """Tries for ever."""

    def kbdint_auth_requested(self) -> str | None:
        return "" if len(self.asked) < 20 else None


async def test_the_third_wrong_passphrase_closes_the_connection(service: Service) -> None:
    client = Stubborn("wrong")
    with pytest.raises(asyncssh.DisconnectError):
        async with service.connected(client_keys=None, client_factory=lambda: client, preferred_auth="keyboard-interactive"):
            pass
    failures = [name for name, _ in service.appliance.logs.events if name == "authentication.failure"]
    assert len(failures) == 3


async def test_a_key_still_works_when_passphrases_are_locked(service: Service) -> None:
    for _ in range(5):
        service.appliance.accounts.failed("admin", remote="192.0.2.7", protocol="SSH")
    with pytest.raises(asyncssh.PermissionDenied):
        async with service.connected(client_keys=None, password=PASSPHRASE, preferred_auth="password"):
            pass
    async with service.connected():
        pass


async def test_banner_and_last_login(service: Service) -> None:
    async with service.connected() as connection:
        first = await until_output(await shell(connection), PROMPT)
        assert (
            first.decode()
            .replace("\r\n", "\n")
            .startswith(
                "AsyncOS 15.5.1 for Cisco C100V build 055\n"
                "\n"
                "Welcome to the Cisco C100V Email Security Virtual Appliance\n"
                "\n"
                "NOTE: This session will expire if left idle for 30 minutes. Any uncommitted\n"
                "configuration changes will be lost. Commit the configuration changes as soon as\n"
                "they are made.\n"
                "\n"
                "You are currently using a demo certificate/key"
            )
        )
        assert first.decode().endswith("\r\n\r\n" + PROMPT.decode())
        second = await until_output(await shell(connection), PROMPT)
        assert second.startswith(b"Last login: Tue Nov 24 09:00:00 2026 from 127.0.0.1\r\nAsyncOS 15.5.1")


# -- transports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["xterm-256color", "vt100", "dumb", "", "unheard-of"])
async def test_no_escape_bell_or_nul_for_ordinary_typing(service: Service, term: str) -> None:
    async with service.connected() as connection:
        process = await connection.create_process(request_pty="force", term_type=term, term_size=(20, 24), encoding=None)
        got = await until_output(process, PROMPT)
        process.stdin.write(b"versionx\x7f\r")
        got += await until_output(process, PROMPT)
        process.stdin.write(b"z" * 50 + b"\x7f" * 60 + b"\x03")
        got += await until_output(process, b"^C\r\n" + PROMPT)
        process.stdin.write(b"\x04")
        got += (await finished(process))[0]
    assert not set(got) & {0x1B, 0x07, 0x00}
    assert b"\r\r" not in got and b"\n" not in got.replace(b"\r\n", b"")


async def test_a_shell_without_pty_does_not_echo_and_ends_lines_in_lf(service: Service) -> None:
    async with service.connected() as connection:
        process = await shell(connection, None)
        await until_output(process, PROMPT)
        process.stdin.write(b"# a comment\nsethostname b.test\nexit\ny\n")
        rest, status = await finished(process)
    assert rest == (
        b"\n" + PROMPT + b"\n\n" + PROMPT + b"\n\n"
        b"Configuration changes entered but not committed. Exiting will lose changes.\n"
        b"Type 'commit' at the command prompt to commit changes.\n"
        b"Are you sure you wish to exit? [N]> \n"
    )
    assert status == 0


@pytest.mark.parametrize("options", [[], ["-tt"]])
async def test_exec_with_the_openssh_client(service: Service, options: list[str]) -> None:
    status, output, errors = await service.run_ssh("version; nosuch; date;", options=options, stdin=b"secret\n\n")
    assert status == 1
    assert errors == b""
    end = "\r\n" if options else "\n"
    lines = output.decode().split(end)
    assert lines[0] == "Current Version"
    assert lines[-3:] == ["Unknown command or missing feature key: nosuch", "Tue Nov 24 09:00:00 2026 GMT", ""]
    assert b"secret" not in output and b"\x1b" not in output and PROMPT not in output


@pytest.mark.parametrize(("command", "status"), [("version", 0), ("nosuch", 1), ("sethostname a.test", 0), ("sethostname", 1)])
async def test_exec_status(service: Service, command: str, status: int) -> None:
    assert (await service.run_ssh(command))[0] == status
    await until(lambda: service.idle)


async def test_uncommitted_changes_of_exec_are_discarded_and_noted(service: Service) -> None:
    assert (await service.run_ssh("sethostname a.test"))[1:] == (b"", b"")
    await until(lambda: service.idle)
    assert ("cli.uncommitted", {"user": "admin"}) in service.appliance.logs.events
    assert service.appliance.config.system.hostname == "mail.example.com"


async def test_exec_reads_answers_from_the_channel(service: Service) -> None:
    status, output, errors = await service.run_ssh("ask", stdin="grüß\n".encode())
    assert (status, output.decode(), errors) == (0, "Say something:\n[]> \nYou said: grüß\n", b"")


async def test_octets_that_are_no_utf8_are_refused_and_asked_again(service: Service) -> None:
    status, output, _ = await service.run_ssh("ask", stdin=b"a\xffb\nc\x00d\n")
    assert status == 1
    assert output == b"Say something:\n[]> \nThat value is not valid.\n\nSay something:\n[]> \nYou said: cd\n"


@pytest.mark.parametrize("term", [None, "vt100"])
async def test_a_hidden_answer_is_nowhere(service: Service, term: str | None) -> None:
    async with service.connected() as connection:
        process = await shell(connection, term)
        got = await until_output(process, PROMPT)
        process.stdin.write(b"secret\r")
        got += await until_output(process, b"Enter passphrase: ")
        process.stdin.write(b"tip-top\r")
        got += await until_output(process, PROMPT)
        assert b"7 characters" in got and b"tip-top" not in got
        process.stdin.write(b"\x1b[A\x1b[A\x1b[A\x15" if term else b"")
        process.stdin.write(b"exit\r")
        assert b"tip-top" not in (await finished(process))[0]
    assert "tip-top" not in repr(service.appliance.logs.events)


@pytest.mark.parametrize("term", [None, "vt100"])
async def test_a_long_line_is_delivered_whole(service: Service, term: str | None) -> None:
    async with service.connected() as connection:
        process = await shell(connection, term)
        await until_output(process, PROMPT)
        process.stdin.write(b"ask\r")
        await until_output(process, b"[]> ")
        process.stdin.write(b"x" * 20_000 + b"\r")
        got = await until_output(process, b"[]> ")
        assert b"The value may not be longer than 4096 characters." in got
        process.stdin.write(b"y" * 4096 + b"\r")
        assert b"You said: " + b"y" * 4096 in await until_output(process, PROMPT)


@pytest.mark.parametrize("size", [(0, 0), (2**32 - 1, 2**32 - 1), (1, 1)])
async def test_any_screen_size_is_accepted(service: Service, size: tuple[int, int]) -> None:
    async with service.connected() as connection:
        process = await connection.create_process(term_type="vt100", term_size=size, encoding=None)
        await until_output(process, PROMPT)
        process.change_terminal_size(*size)
        process.stdin.write(b"exit\r")
        assert (await finished(process))[1] == 0


@pytest.mark.parametrize("way", ["byte", "signal", "break"])
@pytest.mark.parametrize("term", [None, "vt100"])
async def test_ctrl_c_stops_a_running_command(service: Service, way: str, term: str | None) -> None:
    async with service.connected() as connection:
        process = await shell(connection, term)
        await until_output(process, PROMPT)
        process.stdin.write(b"wait\r")
        await until_output(process, b"waiting\r\n" if term else b"waiting\n")
        match way:
            case "byte":
                process.stdin.write(b"\x03")
            case "signal":
                process.send_signal("INT")
            case "break":
                process.send_break(100)
        got = await until_output(process, PROMPT)
        assert got.replace(b"\r\n", b"\n") == b"^C\n\n" + PROMPT


async def test_several_channels_are_sessions_of_their_own(service: Service) -> None:
    async with service.connected() as connection:
        one, two = await shell(connection, None), await shell(connection, None)
        for process in (one, two):
            await until_output(process, PROMPT)
        one.stdin.write(b"sethostname a.test\nexit\n")
        await until_output(one, b"[N]> ")
        two.stdin.write(b"exit\n")
        assert await finished(two) == (b"\n\n", 0)
        assert len(service.appliance.sessions.open) == 1
        (session,) = service.appliance.sessions.open.values()
        assert (session.kind, session.remote, session.interface, session.interface_service) == ("cli", "127.0.0.1", "Management", "ssh")


async def test_nothing_else_is_served(service: Service) -> None:
    async with service.connected() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", service.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, "127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(subsystem="netconf")


# -- the pager ------------------------------------------------------------------------------------------------------

MORE = b"-Press Any Key For More-"
ERASED = b"\r" + b" " * 24 + b"\r"


def row_numbers(output: bytes) -> list[int]:
    return [int(row) for row in re.findall(rb"row (\d+)\r\n", output)]


@pytest.mark.parametrize(("height", "page"), [(24, 23), (0, 23), (11, 10), (51, 50), (2**31, 50)])
async def test_a_listing_stops_at_the_last_row_of_the_screen(service: Service, height: int, page: int) -> None:
    async with service.connected() as connection:
        process = await connection.create_process(term_type="vt100", term_size=(80, height), encoding=None)
        await until_output(process, PROMPT)
        process.stdin.write(b"listing\r\n")
        first = await until_output(process, MORE if page < 50 else PROMPT)
        assert row_numbers(first) == list(range(page))
        shown = first
        for key in (b" ", b"\r\n", b"x", b"\r", b"q")[: (50 - 1) // page]:
            process.stdin.write(key)
            after = await until_output(process, MORE if len(row_numbers(shown)) + page < 50 else PROMPT)
            assert after.startswith(ERASED)
            shown += after
        assert row_numbers(shown) == list(range(50))
        assert shown.endswith(b"row 49\r\n\r\n" + PROMPT)


async def test_ctrl_c_drops_the_rest_and_setttymode_switches_it_off(service: Service) -> None:
    async with service.connected() as connection:
        process = await shell(connection)
        await until_output(process, PROMPT)
        process.stdin.write(b"listing\r")
        await until_output(process, MORE)
        process.stdin.write(b"\x03")
        assert await until_output(process, PROMPT) == ERASED + b"\r\n" + PROMPT
        for mode, end in ((b"0", PROMPT), (b"1", MORE), (b"0 1", PROMPT)):
            process.stdin.write(b"setttymode " + mode + b"\r")
            await until_output(process, PROMPT)
            process.stdin.write(b"listing\r")
            await until_output(process, end)
            if end == MORE:
                process.stdin.write(b"\x03")
                await until_output(process, PROMPT)


@pytest.mark.parametrize("term", ["vt100", None])
async def test_an_exec_request_and_a_shell_without_pty_have_no_pager(service: Service, term: str | None) -> None:
    async with service.connected() as connection:
        done = await connection.run("listing", term_type=term, term_size=(80, 5) if term else None, encoding=None)
        assert done.exit_status == 0 and isinstance(done.stdout, bytes)
        assert done.stdout.count(b"row ") == 50 and MORE not in done.stdout
        if term is None:
            process = await shell(connection, None)
            process.stdin.write(b"listing\nexit\n")
            output, _ = await finished(process)
            assert output.count(b"row ") == 50 and MORE not in output


# -- many, lost and stuck sessions ----------------------------------------------------------------------------------


async def test_the_fifty_first_session_is_turned_away(service: Service) -> None:
    async with service.connected() as connection, service.connected() as other:
        processes = [await shell(connection if number % 2 else other, None) for number in range(60)]
        await until(lambda: len(service.appliance.sessions.open) == MAX_SESSIONS)
        results = await asyncio.gather(*(finished(process) for process in processes[MAX_SESSIONS:]))
        assert results == [(b"Too many sessions are open. Try again later.\n", 1)] * 10
        processes[0].stdin.write(b"exit\n")
        await finished(processes[0])
        assert (await connection.run("date")).exit_status == 0
    await until(lambda: service.idle)


@pytest.mark.parametrize("term", ["vt100", None])
@pytest.mark.parametrize("typed", [b"", b"ask\r", b"wait\r"])
async def test_an_idle_session_ends(service: Service, term: str | None, typed: bytes) -> None:
    clock = service.appliance.clock
    async with service.connected() as connection:
        process = await shell(connection, term)
        await until_output(process, PROMPT)
        await clock.advance(29 * 60)
        process.stdin.write(b"date\r")
        await until_output(process, PROMPT)
        await clock.advance(29 * 60)
        process.stdin.write(typed)
        await until_output(process, {b"": b"", b"ask\r": b"[]> ", b"wait\r": b"waiting\r\n" if term else b"waiting\n"}[typed])
        await clock.advance((1 if not typed else 30) * 60)
        rest, status = await finished(process)
        assert rest.replace(b"\r", b"").endswith(b"Your session has timed out after 30 minutes of inactivity.\n")
        assert status == 1
    await until(lambda: service.idle)


async def test_an_exec_request_is_never_idle(service: Service) -> None:
    async with service.connected() as connection:
        process = await connection.create_process("ask", encoding=None)
        await until_output(process, b"[]> ")
        await service.appliance.clock.advance(3600)
        process.stdin.write(b"late\n")
        assert await finished(process) == (b"\nYou said: late\n", 0)


async def test_200_parallel_sessions_leave_no_task_and_no_memory(service: Service) -> None:
    before = asyncio.all_tasks()

    async def session(connection: asyncssh.SSHClientConnection, number: int) -> bytes:
        process = await connection.create_process("whoami" if number % 3 else None, term_type=None, encoding=None)
        with contextlib.suppress(BrokenPipeError):  # turned away already
            process.stdin.write(b"ask\nsomething\nexit\n")
        return (await finished(process, 30))[0]

    async def client(number: int) -> list[bytes]:
        async with service.connected() as connection:
            return await asyncio.gather(*(session(connection, number + n) for n in range(20)))

    for _ in range(2):
        outputs = [text for some in await asyncio.gather(*(client(20 * n) for n in range(10))) for text in some]
        assert len(outputs) == 200
        served = [text for text in outputs if b"admin" in text or b"You said: something" in text]
        assert set(outputs) - set(served) <= {b"Too many sessions are open. Try again later.\n"}
        assert len(served) >= MAX_SESSIONS
    await until(lambda: service.idle and not service.server._connections)
    await until(lambda: asyncio.all_tasks() <= before)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Session | Shell | Conversation | LineTerminal)]


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_dropped_connections_leave_nothing(service: Service, how: str) -> None:
    before = asyncio.all_tasks()
    for round_number in range(25):
        connections = []
        for typed in (b"ask\r", b"wait\r", b"sethostname a.test\rsethostname\r", b"flood\r"):
            async with service.connected() as connection:
                process = await shell(connection, "vt100" if round_number % 2 else None)
                process.stdin.write(typed)
                await until(lambda: bool(service.appliance.sessions.open))
                if how == "abort":
                    connection.abort()
                connections.append(connection)
        await asyncio.gather(*(connection.wait_closed() for connection in connections))
    await until(lambda: service.idle)
    await until(lambda: not service.server._connections)
    del connections, connection, process
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_client_that_never_reads_is_bounded_and_ends_with_its_connection(service: Service) -> None:
    async with service.connected() as connection:
        process = await connection.create_process(term_type="vt100", encoding=None, window=65536)
        process.stdout.channel.pause_reading()
        process.stdin.write(b"flood\r" * 200)
        await until(lambda: any(name == "cli.command" for name, _ in service.appliance.logs.events))
        await asyncio.sleep(0.3)
        ran = [name for name, _ in service.appliance.logs.events if name == "cli.command"]
        assert len(ran) == 1, "the second command waits until the output of the first has left"
        connection.abort()
    await until(lambda: service.idle)


async def test_a_client_with_an_endless_window_that_never_reads_is_bounded_too(service: Service) -> None:
    async with service.connected() as connection:
        process = await connection.create_process(term_type="vt100", encoding=None, window=2**31 - 1)
        await until_output(process, PROMPT)
        connection._transport.pause_reading()  # type: ignore[attr-defined, union-attr]
        process.stdin.write(b"flood\r" * 200)
        await until(lambda: any(name == "cli.command" for name, _ in service.appliance.logs.events))
        await asyncio.sleep(0.3)
        ran = [name for name, _ in service.appliance.logs.events if name == "cli.command"]
        assert len(ran) < 10, "more than what fits into the buffers of the connection"
        connection.abort()
    await until(lambda: service.idle)


async def test_a_bug_in_a_command_ends_its_session_only(service: Service) -> None:
    async with service.connected() as connection:
        process = await shell(connection, None)
        await until_output(process, PROMPT)
        process.stdin.write(b"fault\n")
        assert (await finished(process))[1] == 1
        assert (await connection.run("date")).exit_status == 0
    assert service.appliance.faults == ["ZeroDivisionError: a bug"]


async def test_passphrase_change_asks_for_the_old_one(service: Service) -> None:
    async with service.connected() as connection:
        process = await shell(connection, None)
        await until_output(process, PROMPT)
        process.stdin.write(b"passphrase\n")
        await until_output(process, b"Old passphrase: ")
        process.stdin.write(b"wrong\n")
        assert b"The passphrase is not correct.\n" in await until_output(process, PROMPT)
    assert "authentication.failure" in [name for name, _ in service.appliance.logs.events]


async def test_who_whoami_and_last(service: Service) -> None:
    service.appliance.set_user(User(name="bob", full_name="Bob"))
    async with service.connected() as connection:
        output = (await connection.run("who; whoami; last")).stdout
    assert output == (
        "Username  Login Time  Idle Time  Remote Host  What\n"
        "========  ==========  =========  ===========  ====\n"
        "admin     09:00AM     0s         127.0.0.1    exec\n"
        "Username: admin\n"
        "Full Name: Administrator\n"
        "Groups: admin, operators, config, log, guest\n"
        "Username  Remote Host  Login Time        Logout Time      Total Time\n"
        "========  ===========  ================  ===============  ==========\n"
        "admin     127.0.0.1    Tue Nov 24 09:00  still logged in  0s\n"
    )


# -- host keys ------------------------------------------------------------------------------------------------------


def holding(folder: Path, octets: bytes) -> list[str]:
    """Files that hold these octets."""
    return [path.name for path in folder.iterdir() if octets in path.read_bytes()]


async def test_host_keys_are_kept_sealed(tmp_path: Path) -> None:
    files = SealedFiles(Seal(os.urandom(32), os.urandom))
    first, second = first_key(tmp_path, files), await second_key(tmp_path, files)
    assert (first.get_algorithm(), second.get_algorithm()) == ("ssh-ed25519", "ssh-rsa")
    assert first_key(tmp_path, files) == first
    assert await second_key(tmp_path, files) == second
    assert not holding(tmp_path, b"PRIVATE KEY")
    assert {entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)} == {0o600}


async def test_the_second_host_key_is_offered_when_it_is_there(service: Service) -> None:
    with pytest.raises(asyncssh.KeyExchangeFailed):
        async with service.connected(server_host_key_algs=["rsa-sha2-512"]):
            pass
    service.server.add_second_key()
    await until(lambda: len(service.server._keys) == 2)
    for algorithm in ("ssh-ed25519", "rsa-sha2-512"):
        async with service.connected(server_host_key_algs=[algorithm]) as connection:
            assert (await connection.run("date")).exit_status == 0
