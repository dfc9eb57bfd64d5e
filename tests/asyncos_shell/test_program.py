"""The program: plain cases, attaching, options, signals, ready document (labs-and-ci.md 2, users-and-access.md 1)."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import PROGRAM, Screen, Served, environment, run_program, serving

PROMPT = "mail.example.com> "
GENERATED = re.compile(
    r'First start: the passphrase of the user "admin" is ([a-z2-9]{5}(?:-[a-z2-9]{5}){3})\n'
    r'It is shown only this once\. Change it with the command "passphrase"\.\n'
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


def test_help(tmp_path: Path) -> None:
    status, output, errors = run_program("--help", home=tmp_path)
    assert (status, errors) == (0, "")
    for word in ("serve", "attach", "-c", "--state", "--map-file", "--reset-admin-passphrase", "--ui"):
        assert word in output


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys, asyncos_shell.cli\n"
        "slow = {'asyncio', 'asyncssh', 'cryptography', 'dns', 'prompt_toolkit', 'OpenSSL', 'starlette', 'sqlite3', 'ssl'}\n"
        "print(*sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([PROGRAM[0], "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ""


def test_plain_cases_on_an_empty_home(tmp_path: Path) -> None:
    status, output, errors = run_program("-c", "version; date", home=tmp_path)
    assert status == 0 and output.startswith("Current Version\n===============\nProduct: Cisco C100V Email Security Virtual Appliance\n")
    assert GENERATED.fullmatch(errors)
    status, output, errors = run_program(home=tmp_path, stdin=b"# a comment\ndate\n")
    assert (status, errors) == (0, "")
    assert re.fullmatch(rf"{PROMPT}\n{PROMPT}\n\n\w{{3}} \w{{3}} .* GMT\n\n{PROMPT}\n", output)
    assert stat.S_IMODE((tmp_path / "asyncos-shell").stat().st_mode) == 0o700


def test_the_generated_passphrase_is_in_no_file(tmp_path: Path) -> None:
    found = GENERATED.fullmatch(run_program("-c", "date", home=tmp_path)[2])
    assert found
    for path in (tmp_path / "asyncos-shell").rglob("*"):
        assert not path.is_file() or found[1].encode() not in path.read_bytes()


def test_a_temporary_state_is_removed(tmp_path: Path) -> None:
    assert run_program("--state", "temp", "-c", "date", home=tmp_path, TMPDIR=str(tmp_path))[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("stdin", "status"), [(b"nosuch\n", 1), (b"date\n", 0), (b"sethostname\nbad\nb.test\n", 1), (b"sethostname\n", 1)])
def test_exit_status_of_a_script(served: Served, stdin: bytes, status: int) -> None:
    assert served.run(stdin=stdin)[0] == status


def test_a_running_appliance_is_attached_to(served: Served) -> None:
    assert "admin     " in served.run("-c", "who")[1]
    assert served.run(stdin=b"version\n")[1].startswith(f"{PROMPT}\n\nCurrent Version\n")
    assert served.run("attach", "-c", "sethostname", stdin=b"\n")[:2] == (0, "[mail.example.com]> \n")
    assert served.run("serve")[0::2] == (1, "Error: The appliance of this state directory is already running.\n")
    assert served.process.poll() is None


def test_start_options_are_refused_when_attaching_and_ignored_as_variables(served: Served) -> None:
    status, output, errors = served.run("--map", "auto", "-c", "date")
    assert (status, output) == (2, "") and "--map" in errors
    assert served.run("attach", "--model", "C690", "-c", "date")[0] == 2
    status, _, errors = served.run("-c", "date", ASYNCOS_SHELL_MAP="auto", ASYNCOS_SHELL_MODEL="C690")
    assert (status, errors) == (0, "")


def test_attach_needs_a_running_appliance(tmp_path: Path) -> None:
    assert run_program("attach", home=tmp_path) == (1, "", "Error: No appliance is running on this state directory.\n")


@pytest.mark.parametrize("arguments", [("nosuch",), ("--nosuch",), ("serve", "-c", "date"), ("--ui", "dim"), ("--net-timeout-scale", "0")])
def test_wrong_usage_has_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run_program(*arguments, home=tmp_path)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_long_script_goes_through_in_both_directions(served: Served) -> None:
    status, output, _ = served.run(stdin=b"help\n" * 3000)
    assert status == 0
    assert output.count("sethostname ") == 3000


def test_two_sessions_have_pending_copies_of_their_own(served: Served) -> None:
    with subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(served.home)) as first:
        assert first.stdin and first.stdout
        first.stdin.write(b"sethostname a.test\nshowchanges\n")
        first.stdin.flush()
        while b"a.test" not in first.stdout.readline():
            pass
        assert served.run("-c", "showchanges")[1] == "There are no uncommitted changes.\n"
        first.kill()


@pytest.mark.parametrize("arguments", [("--ui", "plain"), ("attach", "--ui", "plain")])
def test_a_plain_terminal_shows_what_an_ssh_session_shows(served: Served, arguments: tuple[str, ...]) -> None:
    screen = Screen([*PROGRAM, *arguments], environment(served.home))
    assert "Welcome to the Cisco C100V Email Security Virtual Appliance\r\n" in screen.until(PROMPT)
    screen.type("datex\x7f\r")
    assert re.match(r"datex\x08 \x08\r\n\r\n\w{3} \w{3} .* GMT\r\n\r\n", screen.until(PROMPT))
    screen.type("passphrase\r")
    screen.until("New passphrase: ")
    screen.type("tip-top secret\x03")
    assert screen.until(PROMPT) == f"^C\r\n\r\n{PROMPT}"
    screen.type("\x04")
    assert screen.finish() == 0
    assert not set(screen.shown) & {0x1B, 0x07, 0x00}
    assert b"tip-top" not in screen.shown


def test_a_plain_terminal_with_an_appliance_of_its_own(tmp_path: Path) -> None:
    screen = Screen([*PROGRAM, "--ui", "plain", "--map", "auto"], environment(tmp_path))
    screen.until(PROMPT)
    screen.type("sethostname a.test\r")
    assert screen.until(PROMPT) == f"sethostname a.test\r\n\r\n{PROMPT}"
    screen.type("exit\r")
    screen.until("Are you sure you wish to exit? [N]> ")
    screen.type("y\r")
    assert screen.finish() == 0


def test_a_terminal_drawn_by_the_library_runs_the_same_session(tmp_path: Path) -> None:
    screen = Screen([*PROGRAM, "--ui", "rich", "--map", "auto"], environment(tmp_path))
    screen.until_shown("mail.example.com>")
    screen.type("date\rexit\r")
    assert screen.finish() == 0
    assert re.search(rb"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4} GMT", screen.shown)


def test_answers_typed_at_a_terminal_for_a_single_line(served: Served) -> None:
    screen = Screen([*PROGRAM, "-c", "sethostname; date"], environment(served.home))
    assert screen.until("> ") == "[mail.example.com]> "
    screen.type("\r")
    assert screen.finish() == 0
    assert re.fullmatch(rb"\[mail\.example\.com\]> \r\n\w{3} .* GMT\r\n", screen.shown)


# -- serve ----------------------------------------------------------------------------------------------------------


def test_ready_document(served: Served) -> None:
    ready = served.ready
    assert ready["ready"] is True and ready["version"] == 1 and ready["pid"] == served.process.pid
    assert ready["state"] == str(served.home / "asyncos-shell")
    assert [(entry["service"], entry["owner"], entry["logical"]) for entry in ready["sockets"]] == [
        ("ssh", "Management", "192.168.42.42:22"),
        ("http", "Management", "192.168.42.42:80"),
        ("https", "Management", "192.168.42.42:443"),
    ]
    assert ready["ssh_host_key"].startswith("SHA256:")
    for entry in ready["sockets"]:
        host, _, port = entry["real"].rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()


def test_the_private_socket_is_private(served: Served) -> None:
    assert stat.S_IMODE((served.home / "asyncos-shell" / "console.sock").stat().st_mode) == 0o600


def test_start_stop_and_a_second_start(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        status, errors = first.stop()
        assert status == 0 and GENERATED.fullmatch(errors)
    with serving(tmp_path) as second:
        assert second.ready["ssh_host_key"] == first.ready["ssh_host_key"]
        assert second.stop() == (0, "")
    left = {path.name for path in (tmp_path / "asyncos-shell").iterdir()}
    assert "console.sock" not in left and not {name for name in left if name.endswith(".new")}
    assert "shutdown" in run_program("-c", "last", home=tmp_path)[1]


def test_sessions_are_told_when_the_appliance_stops(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        screen = Screen([*PROGRAM, "attach"], environment(tmp_path))
        screen.until(PROMPT)
        assert running.stop()[0] == 0
        assert screen.finish() == 1
        assert screen.shown.endswith(f"{PROMPT}\r\nThe appliance is shutting down.\r\n".encode())


def test_shutdown_ends_the_program_and_every_session(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        screen = Screen([*PROGRAM, "attach"], environment(tmp_path))
        screen.until(PROMPT)
        assert running.run("-c", "shutdown 1 N") == (0, "", "")
        status, output, _ = running.run("-c", "shutdown 1 Y")
        assert output.startswith("Receiving suspended.\nMail delivery suspended.\n")
        assert running.process.wait(timeout=30) == 0
        assert screen.finish() == 1
        assert screen.shown.endswith(f"{PROMPT}\r\nThe appliance is shutting down.\r\n".encode())
        assert status in (0, 1), "whether the end of the line or that of the appliance came first"


def test_shutdown_ends_an_appliance_that_was_started_for_the_session(tmp_path: Path) -> None:
    process = subprocess.Popen([*PROGRAM, "--map", "auto"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(tmp_path))
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"shutdown\n1\ny\n")
    process.stdin.flush()
    output = process.stdout.read().decode()  # though the input has not ended
    assert process.wait(timeout=30) == 1, "as for every session that the appliance ends"
    assert "Mail delivery suspended.\n" in output and output.rstrip().endswith("The appliance is shutting down.")
    process.stdin.close()
    process.stdout.close()
    with serving(tmp_path) as again:
        assert "System status:                 Online" in again.run("-c", "status")[1]


def test_interrupt_ends_it_too(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=30) == 0


def test_it_starts_again_after_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        screen = Screen([*PROGRAM, "attach"], environment(tmp_path))
        screen.until(PROMPT)
        running.process.kill()
        assert screen.finish() == 1
    assert "crashed" in run_program("-c", "last", home=tmp_path)[1]


def test_the_ready_file_follows_the_sockets(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    with serving(tmp_path, "--ready-file", str(path)) as running:
        written, told = json.loads(path.read_text()), running.ready
        assert {**written, "clock": written["clock"]["mode"]} == {**told, "clock": told["clock"]["mode"]}  # they may be a second apart
        line = "interfaceconfig edit Management --http=off; commit x Y"
        status, output, _ = running.run("-c", line)
        assert (status, output) == (0, "")
        assert [entry["service"] for entry in json.loads(path.read_text())["sockets"]] == ["ssh", "https"]


def test_a_state_directory_with_a_long_name(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30)
    with serving(tmp_path, "--state", str(state)) as running:
        assert running.run("attach", "--state", str(state), "-c", "nosuch")[0] == 1
        assert running.run("--state", str(state), "-c", "date")[0] == 0


# -- the passphrase of the first start ------------------------------------------------------------------------------


def test_a_given_passphrase_is_not_shown_and_given_again_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("from the file\nsecond line\n")
    assert run_program("--admin-passphrase-file", str(file), "-c", "date", home=tmp_path)[2] == ""
    _, _, errors = run_program("-c", "date", home=tmp_path, ASYNCOS_SHELL_ADMIN_PASSPHRASE="from the environment")
    assert errors == 'Note: the user "admin" already has a passphrase; the given one was ignored.\n'
    _, _, errors = run_program("--reset-admin-passphrase", "-c", "date", home=tmp_path)
    assert GENERATED.fullmatch(errors)


def test_a_well_known_passphrase_warns_on_loopback(tmp_path: Path) -> None:
    status, _, errors = run_program("-c", "date", home=tmp_path, ASYNCOS_SHELL_ADMIN_PASSPHRASE="IronPort")
    assert (status, errors) == (0, 'Warning: The passphrase of "admin" is too well known.\n')


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    status, output, errors = run_program("--map", "nonsense", "-c", "date", home=tmp_path)
    assert (status, output) == (1, "")
    assert errors == 'Error: The mapping rule "nonsense" is not of the form LOGICAL=REAL.\n'
    (tmp_path / "file").write_text("")
    status, _, errors = run_program("--state", str(tmp_path / "file"), "-c", "date", home=tmp_path)
    assert status == 1 and errors.startswith("Error: ")


def test_emulated_data_and_a_map_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("# every port a free one\n\n*:*=127.0.0.1:0\n")
    options = ("--map-file", str(rules), "--model", "C690", "--asyncos-version", "16.0.0", "--build", "9", "--serial", "ABC")
    _, output, _ = run_program(*options, "-c", "version", home=tmp_path)
    assert "Product: Cisco C690 Email Security Appliance\nModel: C690\nVersion: 16.0.0-9\n" in output
    assert "Serial #: ABC\n" in output


def test_a_trust_anchor_that_is_none_is_refused_at_start(tmp_path: Path) -> None:
    anchor = tmp_path / "root.key"
    anchor.write_text("test. IN DS 1 8 2 " + "ab" * 32)
    status, output, errors = run_program("--trust-anchor", str(anchor), "-c", "version", home=tmp_path)
    assert (status, output) == (1, "")
    assert errors == "Error: The trust anchor cannot be used: test. DS is no DS or DNSKEY record of the root zone.\n"
    status, _, errors = run_program("--trust-anchor", str(tmp_path / "none"), "-c", "version", home=tmp_path)
    assert status == 1 and errors.startswith("Error: [Errno 2] No such file or directory: ")
    anchor.write_text(". IN DS 1 8 2 " + "ab" * 32)
    assert run_program("--trust-anchor", str(anchor), "-c", "version", home=tmp_path)[0] == 0
