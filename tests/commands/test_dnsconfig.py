"""dnsconfig: transcript, servers and alternates, refused answers, batch lines (routing.md 2)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.diff import differences, tree_lines
from appliance_state.model import Config
from appliance_state.model.dns import AlternateServer, Dns, DnssecMode, DnsServer
from appliance_state.model.interfaces import FACTORY_INTERFACE
from appliance_state.names import DOMAIN_RULES
from appliance_state.table import Table
from commands.answers import IPV4_TEXT, IPV6_TEXT
from commands.dnsconfig import COMMAND, PRIORITY_QUESTION, SERVERS_QUESTION, status_text
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

MENU = """\
Choose the operation you want to perform:
- NEW - Add a new server.
- EDIT - Edit a server.
- DELETE - Remove a server.
- SETUP - Configure general settings.
[]> """
LOCAL = Dns(servers=Table([DnsServer(address="127.0.0.53")]))
TWO = Dns(
    servers=Table([DnsServer(address="10.1.1.1"), DnsServer(address="2001:db8::1", port=5353, priority=7)]),
    alternates=Table([AlternateServer(domain="example.com", address="10.1.10.20")]),
)
TWO_STATUS = """\
Currently using the local DNS cache servers:
1. Priority: 0  10.1.1.1
2. Priority: 7  [2001:db8::1]:5353

Alternate domain servers:
1. example.com: 10.1.10.20
"""
NO_ROOTS = "The Internet root DNS servers are not available. Use your own DNS servers."
NEW_KIND = """\
Do you want to add a new local DNS cache server or an alternate domain server?
1. Add a new local DNS cache server.
2. Add a new alternate domain server.
[1]> """


def session_with(dns: Dns) -> Session:
    interfaces = Table([evolve(FACTORY_INTERFACE, hostname="mail3.example.com")])
    return make_session(Config().with_(dns=dns, interfaces=interfaces))


def dns(session: Session) -> Dns:
    return session.draft.config.dns


async def test_transcript_of_the_specification() -> None:
    session = session_with(LOCAL)
    assert await run_dialog(COMMAND, session, ["setup", "", "10.1.1.1, 127.0.0.1:5353", "", "1", "", "", "", "", ""]) == (
        f"""\
Currently using the local DNS cache servers:
1. Priority: 0  127.0.0.53

No alternate domain servers configured.

{MENU}setup

Do you want the Gateway to use the Internet's root DNS servers or would you like it to use your own DNS servers?
1. Use Internet root DNS servers
2. Use own DNS cache servers
[2]> 

Please enter the IP address of your DNS server.
Separate multiple IPs with commas.
[127.0.0.53]> 10.1.1.1, 127.0.0.1:5353

Please enter the priority for 10.1.1.1.
A value of 0 has the highest priority.
The IP will be chosen at random if they have the same priority.
[0]> 

Please enter the priority for 127.0.0.1:5353.
A value of 0 has the highest priority.
The IP will be chosen at random if they have the same priority.
[0]> 1

Choose how DNSSEC is used for SMTP DANE.
1. Validate signatures on this appliance
2. Trust the validation of the DNS servers (AD flag)
3. Do not use DNSSEC
[1]> 

Choose the IP interface for DNS traffic.
1. Auto
2. Management (192.168.42.42/24: mail3.example.com)
[1]> 

Enter the number of seconds to wait before timing out reverse DNS lookups.
[20]> 

Enter the minimum TTL in seconds for DNS cache.
[1800]> 

Currently using the local DNS cache servers:
1. Priority: 0  10.1.1.1
2. Priority: 1  127.0.0.1:5353

No alternate domain servers configured.

{MENU}
"""
    )
    assert dns(session) == Dns(servers=Table([DnsServer(address="10.1.1.1"), DnsServer(address="127.0.0.1", port=5353, priority=1)]))


async def test_setup_keeps_what_is_not_answered() -> None:
    session = session_with(evolve(TWO, interface="MANAGEMENT", ptr_timeout=0, min_ttl=0))
    screen = await run_dialog(COMMAND, session, ["setup", *[""] * 8, ""])
    assert "[10.1.1.1, [2001:db8::1]:5353]> \n" in screen
    assert "priority for [2001:db8::1]:5353.\n" in screen and "[7]> \n" in screen
    assert "mail3.example.com)\n[2]> \n" in screen
    assert dns(session) == evolve(TWO, interface="Management", ptr_timeout=0, min_ttl=0)


async def test_the_root_servers_are_refused() -> None:
    session = session_with(LOCAL)
    question = "1. Use Internet root DNS servers\n2. Use own DNS cache servers\n[2]> "
    screen = await run_dialog(COMMAND, session, ["setup", "1", CTRL_C])
    assert f"{question}1\n{NO_ROOTS}\n\nDo you want the Gateway" in screen
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("before", "low", "high"), [(["", "10.1.1.1"], 0, 100), (["", "", "", "", ""], 0, 600), (["", "", "", "", "", ""], 0, 86400)]
)
async def test_bounds_of_setup(before: list[str], low: int, high: int) -> None:
    session = session_with(LOCAL)
    screen = await run_dialog(COMMAND, session, ["setup", *before, str(low - 1), str(high + 1), CTRL_C])
    assert screen.count(f"The value must be an integer from {low} to {high}.\n") == 2
    assert not session.draft.changed
    screen = await run_dialog(COMMAND, session, ["setup", *before, str(high), CTRL_C])
    assert "must be" not in screen


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("10.1.1", IPV4_TEXT),
        ("ns.example.com", IPV4_TEXT),
        ("[10.1.1.1]", IPV4_TEXT),
        ("2001:db8::g", IPV6_TEXT),
        ("[::1", IPV6_TEXT),
        ("10.1.1.1:0", "The value must be an integer from 1 to 65535."),
        ("10.1.1.1:", "The value must be an integer from 1 to 65535."),
        ("[::1]:65536", "The value must be an integer from 1 to 65535."),
        ("10.1.1.1,", "That value is not valid."),
        ("10.1.1.2, 10.1.1.2:54", "10.1.1.2 is already configured with priority 0."),
    ],
)
async def test_addresses_that_are_refused(answer: str, text: str) -> None:
    session = session_with(TWO)
    screen = await run_dialog(COMMAND, session, ["new", "1", answer, CTRL_C])
    assert f"{NEW_KIND}1\n\n{SERVERS_QUESTION}\n[]> {answer}\n{text}\n\n{SERVERS_QUESTION}\n[]> ^C\n" in screen
    assert not session.draft.changed


async def test_a_server_cannot_be_added_twice() -> None:
    session = session_with(TWO)
    screen = await run_dialog(COMMAND, session, ["new", "", "2001:DB8:0::1", "", "10.9.9.9", "3", ""])
    assert "[]> 2001:DB8:0::1\n2001:db8::1 is already configured with priority 7.\n" in screen
    assert "[]> \nThe value cannot be blank.\n" in screen
    assert f"{PRIORITY_QUESTION.format(server='10.9.9.9')}\n[0]> 3\n\nCurrently using" in screen
    assert dns(session).servers == TWO.servers.put(DnsServer(address="10.9.9.9", priority=3))


async def test_alternate_servers() -> None:
    session = session_with(LOCAL)
    screen = await run_dialog(
        COMMAND, session, ["new", "2", "example..com", "Example.com", "10.1.10.20", "new", "2", "example.com", "com", "::1", ""]
    )
    question = 'Please enter the domain this server is authoritative for. (Ex: "com").\n[]> '
    assert f"{NEW_KIND}2\n\n{question}example..com\n{DOMAIN_RULES}\n\n{question}Example.com\n" in screen
    assert "\nPlease enter the IP address of the server.\n[]> 10.1.10.20\n\nCurrently using" in screen
    assert "\n\nAlternate domain servers:\n1. example.com: 10.1.10.20\n\nChoose" in screen
    assert f"{question}example.com\n10.1.10.20 already appears to be configured for domain example.com.\n\n{question}com\n" in screen
    assert "Alternate domain servers:\n1. com: ::1\n2. example.com: 10.1.10.20\n" in screen
    assert dns(session).alternates == Table(
        [AlternateServer(domain="example.com", address="10.1.10.20"), AlternateServer(domain="com", address="::1")]
    )


async def test_edit_a_server() -> None:
    session = session_with(TWO)
    screen = await run_dialog(COMMAND, session, ["edit", "", "2", "10.1.1.1", "10.1.1.3:54", "100", ""])
    assert (
        f"""\
{TWO_STATUS}
{MENU}edit

Do you want to edit a local DNS cache server or an alternate domain server?
1. Edit a local DNS cache server.
2. Edit an alternate domain server.
[1]> 

Enter the number of the server you wish to edit.
1. 10.1.1.1
2. [2001:db8::1]:5353
[]> 2

Please enter the IP address of your DNS server.
[[2001:db8::1]:5353]> 10.1.1.1
10.1.1.1 is already configured with priority 0.

Please enter the IP address of your DNS server.
[[2001:db8::1]:5353]> 10.1.1.3:54

Please enter the priority for 10.1.1.3:54.
A value of 0 has the highest priority.
The IP will be chosen at random if they have the same priority.
[7]> 100

"""
    ) in screen
    assert list(dns(session).servers.entries()) == [DnsServer(address="10.1.1.1"), DnsServer(address="10.1.1.3", port=54, priority=100)]
    before = dns(session)
    await run_dialog(COMMAND, session, ["edit", "1", "1", "", "", ""])
    assert dns(session) == before


async def test_edit_an_alternate_server() -> None:
    other = AlternateServer(domain="other.test", address="10.1.1.9", port=54)
    session = session_with(evolve(TWO, alternates=TWO.alternates.put(other)))
    screen = await run_dialog(
        COMMAND, session, ["edit", "2", "1", "other.test", "x.test", "", "edit", "2", "other.test: 10.1.1.9:54", "", "", ""]
    )
    assert "1. example.com: 10.1.10.20\n2. other.test: 10.1.1.9:54\n[]> 1\n" in screen
    assert "[example.com]> other.test\n10.1.1.9:54 already appears to be configured for domain other.test.\n" in screen
    assert "[10.1.1.9:54]> \n" in screen
    assert dns(session).alternates == Table([other, AlternateServer(domain="x.test", address="10.1.10.20")])


async def test_delete() -> None:
    session = session_with(TWO)
    screen = await run_dialog(COMMAND, session, ["delete", "", "", "delete", "1", "1", "delete", "2", "1", "delete", "1", "1", ""])
    assert (
        """\
[]> delete

Do you want to delete a local DNS cache server or an alternate domain server?
1. Delete a local DNS cache server.
2. Delete an alternate domain server.
[1]> 1

Enter the number of the server you wish to remove.
1. 10.1.1.1
2. [2001:db8::1]:5353
[]> 1

Currently using the local DNS cache servers:
1. Priority: 7  [2001:db8::1]:5353
"""
    ) in screen
    assert "1. Delete a local DNS cache server.\n[1]> 1\n\nEnter the number of the server you wish to remove.\n" in screen
    assert "1. [2001:db8::1]:5353\n[]> 1\nAt least one DNS server is required.\n\nCurrently using" in screen
    assert dns(session) == Dns(servers=Table([DnsServer(address="2001:db8::1", port=5353, priority=7)]))


async def test_batch() -> None:
    session = session_with(TWO)

    async def batch(line: str) -> tuple[str, bool]:
        return await run_batch(COMMAND, session, f"dnsconfig {line}")

    assert await batch("print") == (TWO_STATUS, False)
    assert await batch("parent new 127.0.0.1:5353 100") == ("", False)
    assert await batch("parent delete 10.1.1.1") == ("", False)
    assert await batch("alt new a.test,b.test 10.1.1.9") == ("", False)
    assert await batch("alt delete Example.com") == ("", False)
    assert await batch("setup --interface=management --ptr_timeout=600 --min-ttl=86400") == ("", False)
    assert dns(session) == Dns(
        servers=Table([DnsServer(address="2001:db8::1", port=5353, priority=7), DnsServer(address="127.0.0.1", port=5353, priority=100)]),
        alternates=Table([AlternateServer(domain=name, address="10.1.1.9") for name in ("a.test", "b.test")]),
        interface="Management",
        ptr_timeout=600,
        min_ttl=86400,
    )
    assert await batch("setup --servers=10.1.1.2,127.0.0.1 --interface=Auto") == ("", False)
    assert list(dns(session).servers.entries()) == [DnsServer(address="10.1.1.2"), DnsServer(address="127.0.0.1", priority=100)]
    assert dns(session).interface == "Auto"
    for mode in ("trust_ad", "off", "validate"):
        assert await batch(f"setup --dnssec_mode={mode}") == ("", False)
        assert dns(session).dnssec_mode.value == mode


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("parent new 10.1.1.1 1", "10.1.1.1 is already configured with priority 0."),
        ("parent new 10.1.1.2 101", "The value must be an integer from 0 to 100."),
        ("parent new 10.1.1.2", "Invalid arguments when processing dnsconfig:\nMissing argument: <priority>."),
        ("parent new x 1", IPV4_TEXT),
        ("parent delete 10.1.1.9", "10.1.1.9 is not configured."),
        ("alt new example.com 10.1.1.1", "10.1.10.20 already appears to be configured for domain example.com."),
        ("alt new -x 10.1.1.1", DOMAIN_RULES),
        ("alt delete x.test", "x.test is not configured."),
        ("roots new x", NO_ROOTS),
        ("setup --ptr_timeout=601", "The value must be an integer from 0 to 600."),
        ("setup --min_ttl=86401", "The value must be an integer from 0 to 86400."),
        ("setup --interface=Data", "The value must be an integer from 1 to 2."),
        ("setup --servers=x", IPV4_TEXT),
        ("setup --dnssec_mode=on", "The value must be an integer from 1 to 3."),
    ],
)
async def test_batch_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = session_with(TWO)
    printed, failed = await run_batch(COMMAND, session, f"dnsconfig {line}")
    assert (printed, failed) == (f"{output}\n", True)
    assert not session.draft.changed


async def test_the_last_server_stays() -> None:
    session = session_with(LOCAL)
    assert await run_batch(COMMAND, session, "dnsconfig parent delete 127.0.0.53") == ("At least one DNS server is required.\n", True)
    assert status_text(session.draft.config).startswith("Currently using the local DNS cache servers:\n1. Priority: 0  127.0.0.53\n")


def trust_note(address: str) -> str:
    return f"Warning: The AD flag of {address} is trusted over the network. Use it only if the path to this server is secure.\n"


async def test_trust_in_servers_across_the_network_is_warned_of() -> None:
    session = session_with(TWO)
    screen = await run_dialog(COMMAND, session, ["setup", "", "10.1.1.1,127.0.0.1", "", "", "2", "", "", "", ""])
    assert (
        f"""\
3. Do not use DNSSEC
[1]> 2
{trust_note("10.1.1.1")}{trust_note("10.1.10.20")}
Choose the IP interface for DNS traffic.
"""
    ) in screen
    assert dns(session).dnssec_mode is DnssecMode.TRUST_AD
    screen = await run_dialog(COMMAND, session, ["setup", *[""] * 8, ""])
    assert "3. Do not use DNSSEC\n[2]> \nWarning: The AD flag" in screen
    screen = await run_dialog(COMMAND, session, ["new", "1", "10.1.1.5, ::1", "", "", "new", "2", "x.test", "10.1.1.6", ""])
    assert f"[0]> \n{trust_note('10.1.1.5')}\nCurrently using" in screen
    assert f"[]> 10.1.1.6\n{trust_note('10.1.1.6')}\nCurrently using" in screen
    assert "The AD flag of ::1" not in screen
    screen = await run_dialog(
        COMMAND, session, ["edit", "1", "1", "10.1.1.7", "", "edit", "1", "1", "", "3", "edit", "2", "x.test: 10.1.1.6", "", "10.1.1.8", ""]
    )
    assert screen.count("The AD flag of 10.1.1.7") == 1 and screen.count("The AD flag of 10.1.1.8") == 1
    for mode in ("1", "Do not use DNSSEC"):
        assert "AD flag of" not in await run_dialog(
            COMMAND, session, ["setup", "", "", *[""] * len(dns(session).servers), mode, "", "", "", ""]
        )


async def test_the_mode_is_a_change_like_any_other() -> None:
    session = session_with(LOCAL)
    await run_batch(COMMAND, session, "dnsconfig setup --dnssec_mode=trust_ad")
    assert tree_lines(differences(session.draft.base_config, session.draft.config)) == [
        "dns",
        '  dnssec_mode: "Validate signatures on this appliance" -> "Trust the validation of the DNS servers (AD flag)"',
    ]
