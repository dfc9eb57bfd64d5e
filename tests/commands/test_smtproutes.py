"""smtproutes: transcript, answers that are refused, batch lines, and the identity of EXPORT and IMPORT (routing.md 1)."""

import ipaddress
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.names import HOSTNAME_RULES
from appliance_state.table import Table
from commands.route_text import file_text, read_file
from commands.smtproutes import COMMAND, HOSTS_QUESTION, NEW_DOMAIN_QUESTION, route_domain
from commands.table_files import ImportProblem
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

FULL_MENU = """\
Choose the operation you want to perform:
- NEW - Create a new route.
- EDIT - Edit destinations of an existing route.
- DELETE - Remove a route.
- PRINT - Display all routes.
- IMPORT - Import new routes from a file.
- EXPORT - Export all routes to a file.
- CLEAR - Remove all routes.
[]> """
EDIT_MENU = """\
Choose the operation you want to perform:
- ADD - Add new destination hosts.
- REPLACE - Specify a new set of destination hosts.
- REMOVE - Remove a destination host.
[]> """


def route(domain: str, *hosts: str, special: str | None = None) -> SmtpRoute:
    return SmtpRoute(domain=domain, special=special, hosts=tuple(RouteHost(host=host) for host in hosts))  # type: ignore[arg-type]


def session_with(*routes: SmtpRoute) -> Session:
    return make_session(Config().with_(smtp_routes=Table(routes)))


def routes(session: Session) -> str:
    return file_text(session.draft.config.smtp_routes)


async def test_transcript_of_the_specification() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "example.com", "exchange.example.com, [backup.example.com]:2525/pri=10", ""])
    assert screen == (
        """\
There are no routes configured.

Choose the operation you want to perform:
- NEW - Create a new route.
- IMPORT - Import new routes from a file.
[]> new

Enter the domain for which you want to set up a permanent route.
Partial hostnames such as ".example.com" are allowed.
Use "ALL" for the default route.
[]> example.com

Enter the destination hosts, separated by commas, which you want mail for example.com to be delivered.
Enter USEDNS by itself to use normal DNS resolution for this route.
Enter /dev/null by itself if you wish to discard the mail.
Enclose in square brackets to force resolution via address (A) records, ignoring any MX records.
[]> exchange.example.com, [backup.example.com]:2525/pri=10

Mapping for example.com to exchange.example.com, [backup.example.com]:2525/pri=10 created.

There are currently 1 routes configured.

Choose the operation you want to perform:
- NEW - Create a new route.
- EDIT - Edit destinations of an existing route.
- DELETE - Remove a route.
- PRINT - Display all routes.
- IMPORT - Import new routes from a file.
- EXPORT - Export all routes to a file.
- CLEAR - Remove all routes.
[]> 
"""
    )
    assert session.draft.config.smtp_routes["example.com"].hosts == (
        RouteHost(host="exchange.example.com"),
        RouteHost(host="backup.example.com", force_address=True, port=2525, priority=10),
    )


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("host", HOSTNAME_RULES),
        ("[a.test", HOSTNAME_RULES),
        ("300.1.1.1", HOSTNAME_RULES),
        ("2001:db8::1", HOSTNAME_RULES),
        ("a.test, , b.test", "The value cannot be blank."),
        ("a.test:0", "The value must be an integer from 1 to 65535."),
        ("a.test:65536", "The value must be an integer from 1 to 65535."),
        ("a.test:", "The value must be an integer from 1 to 65535."),
        ("a.test/pri=65536", "The priority must be an integer from 0 to 65535."),
        ("a.test/pri=", "The priority must be an integer from 0 to 65535."),
        ("a.test/pri=-1", "The priority must be an integer from 0 to 65535."),
        ("a.test, [a.test]:26, A.TEST/pri=5", "The host a.test is listed twice."),
        ("[2001:db8::1]:2525, [2001:DB8:0::1]:2525", "The host [2001:db8::1]:2525 is listed twice."),
        ("USEDNS, a.test", "USEDNS and /dev/null must be used by themselves."),
        ("a.test, /dev/null", "USEDNS and /dev/null must be used by themselves."),
        (", ".join(f"h{n}.test" for n in range(101)), "Routes may not contain more than 100 destinations."),
    ],
)
async def test_destinations_that_are_refused(answer: str, text: str) -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", "a.test", answer, CTRL_C])
    question = HOSTS_QUESTION.format(domain="a.test")
    assert f"\n{question}\n[]> {answer}\n{text}\n\n{question}\n[]> ^C\n" in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        ("A.Test", [RouteHost(host="a.test")]),
        ("a.test:1/pri=65535", [RouteHost(host="a.test", port=1, priority=65535)]),
        ("[a.test]:65535", [RouteHost(host="a.test", force_address=True, port=65535)]),
        ("192.0.2.1", [RouteHost(host="192.0.2.1")]),
        ("[192.0.2.1]/PRI=0", [RouteHost(host="192.0.2.1", force_address=True)]),
        ("[2001:DB8:0::1]:25", [RouteHost(host="2001:db8::1", force_address=True)]),
        (", ".join(f"h{n}.test" for n in range(100)), [RouteHost(host=f"h{n}.test") for n in range(100)]),
    ],
)
async def test_destinations_that_are_accepted(answer: str, hosts: list[RouteHost]) -> None:
    session = make_session()
    await run_dialog(COMMAND, session, ["new", "a.test", answer, ""])
    assert session.draft.config.smtp_routes["a.test"] == SmtpRoute(domain="a.test", hosts=tuple(hosts))


async def test_words() -> None:
    session = make_session()
    screen = await run_dialog(COMMAND, session, ["new", ".A.test", "usedns", "new", "all", "/DEV/NULL", "print", ""])
    assert "\nMapping for .a.test to USEDNS created.\n" in screen
    assert "\nMapping for ALL to /dev/null created.\n" in screen
    assert f"[]> print\n\n.a.test USEDNS\nALL /dev/null\n\nThere are currently 2 routes configured.\n\n{FULL_MENU}" in screen


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("test", HOSTNAME_RULES),
        ("a..test", HOSTNAME_RULES),
        ("..a.test", HOSTNAME_RULES),
        ("A.TEST", "The value a.test is already in the routing table."),
        ("all", "There is already a default route set."),
        ("", "The value cannot be blank."),
    ],
)
async def test_domains_that_are_refused(answer: str, text: str) -> None:
    session = session_with(route("a.test", "b.test"), route("ALL", "c.test"))
    screen = await run_dialog(COMMAND, session, ["new", answer, CTRL_C])
    assert f"\n{NEW_DOMAIN_QUESTION}\n[]> {answer}\n{text}\n\n{NEW_DOMAIN_QUESTION}\n[]> ^C\n" in screen
    assert not session.draft.changed


async def test_edit() -> None:
    session = session_with(route("a.test", "b.test"), route("c.test", "d.test"))
    answers = ["edit", "x.test", "A.TEST", "c.test", "new.test", "add", "e.test", "remove", "1", "remove", "1", "replace", "usedns", "", ""]
    screen = await run_dialog(COMMAND, session, answers)
    assert (
        """\
[]> edit

Enter the domain whose route you want to edit.
[]> x.test
The domain x.test does not appear to be in the routing table.

Enter the domain whose route you want to edit.
[]> A.TEST

Enter the new domain for this route.
[a.test]> c.test
The value c.test is already in the routing table.

Enter the new domain for this route.
[a.test]> new.test

"""
        + EDIT_MENU
        + """\
add

Enter the additional destination hosts, separated by commas, which you want mail for new.test to be delivered.
[]> e.test

"""
        + EDIT_MENU
        + """\
remove

1. b.test
2. e.test
Enter the destination you would like to remove.
[]> 1

"""
        + EDIT_MENU
        + """\
remove

1. e.test
Enter the destination you would like to remove.
[]> 1
A route must have at least one destination.

"""
        + EDIT_MENU
        + "replace\n\n"
        + HOSTS_QUESTION.format(domain="new.test")
        + "\n[]> usedns\n\nChoose the operation you want to perform:\n- REPLACE - Specify a new set of destination hosts.\n[]> \n"
    ) in screen
    assert routes(session) == "c.test d.test\nnew.test USEDNS\n"


async def test_added_destinations_are_checked_together_with_those_that_are_there() -> None:
    session = session_with(route("a.test", *(f"h{n}.test" for n in range(99))))
    screen = await run_dialog(COMMAND, session, ["edit", "a.test", "", "add", "h1.test", "i.test, j.test", "usedns", "i.test", "", ""])
    assert "[]> h1.test\nThe host h1.test is listed twice.\n" in screen
    assert "[]> i.test, j.test\nRoutes may not contain more than 100 destinations.\n" in screen
    assert "[]> usedns\nUSEDNS and /dev/null must be used by themselves.\n" in screen
    assert len(session.draft.config.smtp_routes["a.test"].hosts) == 100


async def test_delete_and_clear() -> None:
    session = session_with(route("a.test", "b.test"), route("ALL", "c.test"), route("d.test", "e.test"))
    screen = await run_dialog(COMMAND, session, ["delete", "", "delete", "a.test", "n", "delete", "a.test", "y", "delete", "all", "y", ""])
    assert "Are you sure you want to delete the route for a.test? [N]> n\n" in screen
    assert "Are you sure you want to reset the default route? [N]> y\n" in screen
    assert routes(session) == "d.test e.test\n"
    screen = await run_dialog(COMMAND, session, ["clear", "", "clear", "y", ""])
    assert screen.count("Are you sure you want to delete all of the configured routes? [N]> ") == 2
    assert routes(session) == ""


async def test_print_is_sorted() -> None:
    names = ["ALL", ".example.com", "example.com", "a.test", "example.org"]
    session = session_with(*(route(name, "h.test") for name in names))
    assert routes(session) == "a.test h.test\nexample.com h.test\n.example.com h.test\nexample.org h.test\nALL h.test\n"


async def test_export_and_import(tmp_path: Path) -> None:
    session = make_session(
        Config().with_(smtp_routes=Table([route("a.test", "b.test"), route(".a.test", special="discard")])), files=tmp_path
    )
    screen = await run_dialog(COMMAND, session, ["export", "../x", "routes.txt", "clear", "y", "import", "no.txt", "routes.txt", ""])
    assert (
        '[]> ../x\nSymbols are not allowed in the file name "../x".\n\nEnter a name for the exported file:\n[]> routes.txt\nExport completed.\n'
        in screen
    )
    assert (
        'Enter the name of the file to import:\n[]> no.txt\nthe file "no.txt" does not exist.\n\n'
        "Enter the name of the file to import:\n[]> routes.txt\n2 entries imported successfully.\n\nThere are currently 2 routes configured.\n"
    ) in screen
    assert (tmp_path / "routes.txt").read_text() == "a.test b.test\n.a.test /dev/null\n"
    assert (tmp_path / "routes.txt").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["routes.txt"]
    assert not session.draft.changed


async def test_import_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "routes.txt").write_bytes(b"\xef\xbb\xbf# comment\r\n\r\nA.test\t x.test,y.test\r\nall USEDNS")
    session = make_session(Config().with_(smtp_routes=Table([route("a.test", "b.test"), route("c.test", "d.test")])), files=tmp_path)
    assert await run_batch(COMMAND, session, "smtproutes import routes.txt") == ("", False)
    assert routes(session) == "a.test x.test, y.test\nc.test d.test\nALL USEDNS\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a.test b.test\n\nc.test d\n", f"line 3: {HOSTNAME_RULES}"),
        ("# a\na.test\n", "line 2: The value cannot be blank."),
        ("a.test b.test\nA.test c.test\n", "line 2: The value a.test is already in the routing table."),
        ("a.test b.test/pri=x\n", "line 1: The priority must be an integer from 0 to 65535."),
        ("\xff.test b.test\n", f"line 1: {HOSTNAME_RULES}"),
    ],
)
async def test_an_import_is_all_or_nothing(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "routes.txt").write_bytes(content.encode("latin-1"))
    session = make_session(files=tmp_path)
    assert await run_batch(COMMAND, session, "smtproutes import routes.txt") == (f"Error: {problem}\nImport failed.\n", True)
    assert not session.draft.changed
    screen = await run_dialog(COMMAND, session, ["import", "routes.txt", ""])
    assert f"[]> routes.txt\nError: {problem}\nImport failed.\n\nThere are no routes configured.\n" in screen


async def test_the_table_has_a_bound() -> None:
    full = Table(route(f"d{n}.test", "h.test") for n in range(39_999))
    assert len(read_file("x.test h.test\nd1.test h.test\n", full, route_domain)) == 2
    with pytest.raises(ImportProblem, match=r"line 2: There is a maximum of 40000 routes\."):
        read_file("x.test h.test\ny.test h.test\n", full, route_domain)
    session = make_session(Config().with_(smtp_routes=full.put(route("ALL", "h.test"))))
    assert await run_batch(COMMAND, session, "smtproutes new x.test h.test") == ("There is a maximum of 40000 routes.\n", True)


async def test_batch() -> None:
    session = make_session()

    async def batch(line: str) -> tuple[str, bool]:
        return await run_batch(COMMAND, session, line)

    assert await batch("smtproutes new a.test b.test [c.test]/pri=1") == ("", False)
    assert await batch("smtproutes NEW ALL /dev/null") == ("", False)
    assert await batch("smtproutes print") == ("a.test b.test, [c.test]/pri=1\nALL /dev/null\n", False)
    assert await batch("smtproutes edit A.test d.test") == ("", False)
    assert await batch("smtproutes export r.txt") == ("", False)
    assert await batch("smtproutes delete all") == ("", False)
    assert await batch("smtproutes print") == ("a.test d.test\n", False)
    assert await batch("smtproutes clear") == ("", False)
    assert await batch("smtproutes print") == ("There are no routes configured.\n", False)
    assert await batch("smtproutes import r.txt") == ("", False)
    assert routes(session) == "a.test d.test\nALL /dev/null\n"


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("smtproutes new a.test x.test", "The value a.test is already in the routing table.\n"),
        ("smtproutes new x.test b", f"{HOSTNAME_RULES}\n"),
        ("smtproutes new x.test", "Invalid arguments when processing smtproutes:\nMissing argument: <destination>.\n"),
        ("smtproutes edit x.test b.test", "The domain x.test does not appear to be in the routing table.\n"),
        ("smtproutes edit a.test USEDNS b.test", "USEDNS and /dev/null must be used by themselves.\n"),
        ("smtproutes delete x.test", "The domain x.test does not appear to be in the routing table.\n"),
        ("smtproutes import no.txt", 'the file "no.txt" does not exist.\n'),
        ("smtproutes export .x", 'Symbols are not allowed in the file name ".x".\n'),
        ("smtproutes add a.test", "Invalid arguments when processing smtproutes:\nUnknown operation.\n: 'add'\n"),
    ],
)
async def test_batch_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = session_with(route("a.test", "b.test"))
    assert await run_batch(COMMAND, session, line) == (output, True)
    assert not session.draft.changed


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.builds(lambda label, end: f"{label}.{end}.test", LABEL, LABEL)
IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).map(lambda address: str(ipaddress.ip_address(address)))
PLACE = st.one_of(
    st.tuples(HOST | IPV4, st.booleans()),
    st.tuples(IPV6, st.just(True)),
)
ROUTE_HOST = st.builds(
    lambda place, port, priority: RouteHost(host=place[0], force_address=place[1], port=port, priority=priority),
    PLACE,
    st.just(25) | st.integers(1, 65535),
    st.just(0) | st.integers(0, 65535),
)
HOSTS = st.lists(ROUTE_HOST, min_size=1, max_size=4, unique_by=lambda host: (host.host, host.force_address, host.port))
DOMAIN = st.one_of(HOST, HOST.map(lambda host: f".{host}"), st.just("ALL"))
ROUTE = st.one_of(
    st.builds(lambda domain, hosts: SmtpRoute(domain=domain, hosts=tuple(hosts)), DOMAIN, HOSTS),
    st.builds(lambda domain, special: SmtpRoute(domain=domain, special=special), DOMAIN, st.sampled_from(["usedns", "discard"])),
)


@given(st.lists(ROUTE, max_size=6))
def test_what_is_written_is_read_back(written: list[SmtpRoute]) -> None:
    table = Table(written)
    assert Table(read_file(file_text(table), Table(), route_domain)) == table
