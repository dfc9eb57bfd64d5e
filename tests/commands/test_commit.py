"""commit, rollbackconfig, commitdetail, showchanges, clear at a real appliance (commit.md 8)."""

from __future__ import annotations

import asyncio
import re
import resource
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands.commit import CLOSING_LINE
from tests.support.live import Place, live

NEW_LISTENER = "listenerconfig new InboundMail public Management smtp --accept=a.test"
DATE = r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4}"
SUBJECT = "--o=O --ou=U --l=L --st=S --c=JP"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with live(tmp_path) as here:
        yield here


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2):
            return True
    except OSError:
        return False


async def certificate_name(port: int) -> str:
    """Common Name of what a listener shows after STARTTLS."""

    def look() -> str:
        context = ssl._create_unverified_context()
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            client.starttls(context=context)
            assert isinstance(client.sock, ssl.SSLSocket)
            der = client.sock.getpeercert(binary_form=True)
        assert der
        return re.findall(rb"[a-z0-9]+\.example\.com|Cisco Appliance Demo Certificate", der)[0].decode()

    return await asyncio.to_thread(look)


# -- one session ------------------------------------------------------------------------------------------------------


async def test_the_dialog_makes_the_pending_copy_the_running_one(place: Place) -> None:
    admin = place.person()
    await admin.done(NEW_LISTENER)
    with pytest.raises(StopIteration):
        place.port("InboundMail")
    shown = await admin.type("commit", "x" * 256, "first listener", "")
    assert re.fullmatch(
        r"Please enter some comments describing your changes:\n\[\]> x{256}\n"
        r"The comment must be at most 255 characters\.\n\n"
        r"Please enter some comments describing your changes:\n\[\]> first listener\n\n"
        r"Do you want to save the current configuration for rollback\? \[Y\]> \n\n"
        rf"Changes committed: {DATE} GMT\n",
        shown,
    ), shown
    assert answers(place.port("InboundMail"))
    assert (await admin.type("commit")) == "There is no data to commit.\n"
    assert re.fullmatch(rf'Commit at {DATE} GMT with comments: "first listener"\.\n', await admin.type("commitdetail"))
    assert any(line.endswith("User admin commit changes: first listener") for line in place.lines("system_logs"))


async def test_batch_forms(place: Place) -> None:
    admin = place.person()
    assert await admin.batch('commit "nothing" Y') == ("There is no data to commit.\n", False)
    for number, line in enumerate(('commit "x" Y', 'commit "x" N', 'commit "x"', "commit -y", 'commit "" n --conflict=mine')):
        await admin.done(f"destconfig new d{number}.test --tls=required", line)
    points = await admin.batch("rollbackconfig list")
    assert len(points[0].splitlines()) == 4, "three of them and the initial configuration"
    assert len((await admin.batch("commitdetail 3"))[0].splitlines()) == 3
    await admin.done("destconfig new pending.test --tls=required")
    for bad in ('commit "x" maybe', 'commit "x" Y Y', 'commit "x" --conflict=theirs'):
        assert (await admin.batch(bad))[1], bad
    assert "+ pending.test" in await admin.type("showchanges")


async def test_clear_drops_the_pending_copy(place: Place) -> None:
    admin = place.person()
    assert (await admin.type("clear")) == "There are no changes to clear.\n"
    await admin.done("destconfig new d.test --tls=required")
    question = "Are you sure you want to clear all changes since the last commit?  [Y]> "
    assert (await admin.type("clear", "n")) == f"{question}n\n"
    assert "+ d.test" in await admin.type("showchanges")
    assert re.fullmatch(rf"{re.escape(question)}\n\nChanges cleared: {DATE}\n", await admin.type("clear", ""))
    assert (await admin.type("commit")) == "There is no data to commit.\n"
    assert (await admin.type("showchanges")) == "There are no uncommitted changes.\n"


async def test_changes_that_were_taken_back_are_none(place: Place) -> None:
    admin = place.person()
    await admin.done("destconfig new d.test --tls=required", "destconfig delete d.test")
    assert (await admin.type("commit")) == "There is no data to commit.\n"


# -- several sessions -------------------------------------------------------------------------------------------------


async def test_different_fields_merge_and_the_second_is_told(place: Place) -> None:
    one, two = place.person(), place.person("operator2")
    await one.done(NEW_LISTENER, 'commit "base" Y')
    await two.done("listenerconfig edit InboundMail limits 77 50")
    await one.done("listenerconfig edit InboundMail setup --default_domain=a.test", 'commit "domain" Y')
    shown = await two.type("commit", "", "")
    assert re.match(
        rf"1 change was committed by other sessions after you started\. It is kept:\n  {DATE} GMT  admin  domain\n\nPlease enter", shown
    ), shown
    listener = place.appliance.running()[1].listeners["InboundMail"]
    assert (listener.max_concurrency, listener.default_domain) == (77, "a.test")


CONFLICT = """\
Error: Your changes conflict with changes that were committed after you started.

1. listener "InboundMail": max_concurrency
     Original:  1000
     Yours:     20
     Committed: 10 (admin, {date})

How do you want to proceed?
1. Stop. Nothing is committed and your changes stay pending.
2. Use your value for every conflict.
3. Use the committed value for every conflict.
4. Decide for each conflict.
[1]> """


@pytest.mark.parametrize(
    ("decision", "value", "pending"),
    [(["1"], 10, True), ([""], 10, True), (["2", "", ""], 20, False), (["4", "1", "", ""], 20, False), (["4", "2"], 10, False), (["3"], 10, False)],
)  # fmt: skip
async def test_the_same_field_is_a_conflict(place: Place, decision: list[str], value: int, pending: bool) -> None:
    one, two = place.person(), place.person()
    await one.done(NEW_LISTENER, 'commit "base" Y')
    await two.done("listenerconfig edit InboundMail limits 20 50")
    await one.done("listenerconfig edit InboundMail limits 10 50", 'commit "ten" Y')
    shown = await two.type("commit", *decision)
    assert re.sub(rf"{DATE} GMT", "{date}", shown).startswith(CONFLICT)
    assert place.appliance.running()[1].listeners["InboundMail"].max_concurrency == value
    assert two.session.draft.changed is pending
    if pending:
        assert two.session.draft.config.listeners["InboundMail"].max_concurrency == 20


@pytest.mark.parametrize(
    ("option", "failed", "value"), [("", True, 10), (" --conflict=mine", False, 20), (" --conflict=committed", False, 10)]
)
async def test_conflicts_of_a_batch_line(place: Place, option: str, failed: bool, value: int) -> None:
    one, two = place.person(), place.person()
    await one.done(NEW_LISTENER, 'commit "base" Y')
    await two.done("listenerconfig edit InboundMail limits 20 50")
    await one.done("listenerconfig edit InboundMail limits 10 50", 'commit "ten" Y')
    output, status = await two.batch(f'commit "twenty" Y{option}')
    assert status is failed
    assert place.appliance.running()[1].listeners["InboundMail"].max_concurrency == value
    if failed:
        assert 'listener "InboundMail": max_concurrency' in output


async def test_the_same_addition_to_a_set_is_no_conflict(place: Place) -> None:
    one, two = place.person(), place.person()
    await one.done("alertconfig new ops@a.test --classes=System --severities=Warning", 'commit "base" Y')
    for person in (one, two):
        await person.done("alertconfig edit ops@a.test --add=Updater:Critical")
    await two.done("alertconfig edit ops@a.test --remove=System:Warning")
    await one.done('commit "one" Y')
    await two.done('commit "two" Y')
    (recipient,) = place.appliance.running()[1].alerts.recipients.entries()
    assert recipient.subscriptions == {("Updater", "Critical")}


async def test_a_reference_that_lost_its_target_is_refused_and_stays_pending(place: Place) -> None:
    one, two = place.person(), place.person()
    await one.done(NEW_LISTENER, f"certconfig certificate new mail --cn=mail.example.com {SUBJECT}", 'commit "base" Y')
    await two.done("listenerconfig edit InboundMail certificate mail")
    await one.done("certconfig certificate delete mail", 'commit "gone" Y')
    assert await two.batch('commit "use" Y') == (
        f'Error: Listener "InboundMail" uses the certificate "mail", which does not exist.\n{CLOSING_LINE}\n', True
    )  # fmt: skip
    assert 'tls_certificate: "Demo" -> "mail"' in await two.type("showchanges")
    assert any("commit failed: Listener" in line for line in place.lines("system_logs"))


async def test_two_problems_are_both_listed(place: Place) -> None:
    one, two = place.person(), place.person()
    certificates = [f"certconfig certificate new {name} --cn={name}.example.com {SUBJECT}" for name in ("one", "two")]
    await one.done(NEW_LISTENER, *certificates, 'commit "base" Y')
    await two.done("listenerconfig edit InboundMail certificate one", "destconfig setup --certificate=two")
    await one.done("certconfig certificate delete one", "certconfig certificate delete two", 'commit "gone" Y')
    output, failed = await two.batch('commit "use" Y')
    assert failed
    assert output.count("Error: ") == 2 and output.count(CLOSING_LINE) == 1


# -- sockets ----------------------------------------------------------------------------------------------------------


async def test_a_taken_port_changes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with taken_port() as port, taken_port() as free:
        pass
    with socket.create_server(("127.0.0.1", port)) as other:
        rules = (f"192.168.42.42:25=127.0.0.1:{free}", f"192.168.42.42:26=127.0.0.1:{port}")
        async with live(tmp_path, *rules) as place:
            admin = place.person()
            await admin.done(
                f"certconfig certificate new mail --cn=mail.example.com {SUBJECT}",
                "listenerconfig new First public Management smtp --accept=a.test",
                "listenerconfig new Second public Management smtp --port=26 --accept=a.test",
            )
            output, failed = await admin.batch('commit "both" Y')
            assert failed
            assert output == (
                'Error: Listener "Second": cannot listen on 192.168.42.42 port 26 '
                f"(mapped to 127.0.0.1 port {port}): Address already in use\n{CLOSING_LINE}\n"
            )
            assert not answers(free), "the socket that could be opened is closed again"
            assert place.appliance.running()[0] == 1
            assert "Second" in admin.session.draft.config.listeners
            other.close()
            await admin.done('commit "again" Y')
            assert answers(free) and answers(port)


async def test_listeners_exchange_their_ports(place: Place) -> None:
    admin = place.person()
    await admin.done(
        "listenerconfig new First public Management smtp --accept=a.test",
        "listenerconfig new Second public Management smtp --port=26 --accept=a.test",
        'commit "two" Y',
    )
    first, second = place.port("First"), place.port("Second")
    await admin.done(
        "listenerconfig edit First interface Management 27",
        "listenerconfig edit Second interface Management 25",
        "listenerconfig edit First interface Management 26",
        'commit "exchanged" Y',
    )
    assert (place.port("First"), place.port("Second")) == (second, first)
    assert answers(first) and answers(second)


async def test_a_deleted_listener_lets_the_message_under_way_finish(place: Place) -> None:
    admin = place.person()
    await admin.done(NEW_LISTENER, 'commit "one" Y')
    port = place.port("InboundMail")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(text: str) -> str:
        writer.write(text.encode())
        while (line := await asyncio.wait_for(reader.readline(), 5))[3:4] == b"-":
            pass
        return line.decode()

    await say("")
    for command in ("EHLO c.test\r\n", "MAIL FROM:<s@c.test>\r\n", "RCPT TO:<r@a.test>\r\n", "DATA\r\n"):
        assert (await say(command))[0] in "23"
    await admin.done("listenerconfig delete InboundMail", 'commit "none" Y')
    assert not answers(port)
    assert (await say("Subject: x\r\n\r\nx\r\n.\r\n")).startswith("250 ")
    assert (await asyncio.wait_for(reader.readline(), 5)).decode().startswith("421 ")
    writer.close()


# -- certificates, rollback -------------------------------------------------------------------------------------------


async def test_a_rollback_brings_the_earlier_certificate_and_keeps_the_accounts(place: Place) -> None:
    admin = place.person()
    await admin.done(
        NEW_LISTENER,
        "listenerconfig edit InboundMail hostaccess default --tls=preferred",
        *(f"certconfig certificate new {name} --cn={name}.example.com {SUBJECT}" for name in ("old", "new")),
        "listenerconfig edit InboundMail certificate old",
        'commit "old certificate" Y',
    )
    assert await certificate_name(place.port("InboundMail")) == "old.example.com"
    await admin.done("listenerconfig edit InboundMail certificate new", 'commit "new certificate" N')
    assert await certificate_name(place.port("InboundMail")) == "new.example.com"
    users = place.appliance.running()[1].users
    await admin.done("destconfig new pending.test --tls=required")
    shown = await admin.type("rollbackconfig", "1", "y", "y")
    assert shown.startswith("You have uncommitted changes. They will be discarded if you roll back.\n\nPrevious Commits :\n")
    assert re.search(
        rf"^1\. {DATE}        admin           old certificate$\n2\. {DATE}        system          Initial configuration$", shown, re.M
    ), shown
    assert "new certificate" not in shown, "it was not to be saved"
    assert re.search(
        rf"\n\nReverted to {DATE}     admin           old certificate\nDo you want to commit this configuration now\? \[N\]> y\n"
        r"Committed the changes successfully\n$",
        shown,
    ), shown
    assert await certificate_name(place.port("InboundMail")) == "old.example.com"
    assert place.appliance.running()[1].users == users
    assert "pending.test" not in place.appliance.running()[1].destinations
    assert (await admin.batch("rollbackconfig list"))[0].splitlines()[0].split("admin")[1].strip().startswith("Rollback to ")


async def test_a_rollback_that_is_not_committed_stays_pending(place: Place) -> None:
    admin = place.person()
    await admin.done("destconfig new d.test --tls=required", 'commit "d" Y')
    assert "[N]> \n" in await admin.type("rollbackconfig", "2", "")
    assert not admin.session.draft.changed
    await admin.done("rollbackconfig 2 N")
    assert "- d.test" in await admin.type("showchanges")
    await admin.done('commit "back" Y')
    assert "d.test" not in place.appliance.running()[1].destinations


async def test_at_most_ten_rollback_points_are_offered(place: Place) -> None:
    admin = place.person()
    for number in range(12):
        await admin.done(f"destconfig new d{number}.test --tls=required", f'commit "number {number}" Y')
    rows = (await admin.batch("rollbackconfig list"))[0].splitlines()
    assert [row.split()[-1] for row in rows] == [str(number) for number in range(11, 1, -1)]


# -- the disk ---------------------------------------------------------------------------------------------------------


async def test_a_full_file_system_refuses_the_commit_only(place: Place) -> None:
    admin = place.person()
    await admin.done("destconfig new d.test --tls=required")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        output, failed = await admin.batch('commit "x" Y')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed
    assert re.fullmatch(rf"Error: The configuration could not be saved: .+\n{re.escape(CLOSING_LINE)}\n", output), output
    assert "d.test" not in place.appliance.running()[1].destinations
    await admin.done('commit "x" Y')
    assert "d.test" in place.appliance.running()[1].destinations


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    async with live(tmp_path) as place:
        await place.person().done(
            f"certconfig certificate new mail --cn=mail.example.com {SUBJECT}", NEW_LISTENER,
            "listenerconfig edit InboundMail certificate mail", "listenerconfig edit InboundMail hostaccess default --tls=required",
            'commit "all" Y',
        )  # fmt: skip
        config = place.appliance.running()
    async with live(tmp_path) as place:
        assert place.appliance.running() == config
        assert await certificate_name(place.port("InboundMail")) == "mail.example.com"
