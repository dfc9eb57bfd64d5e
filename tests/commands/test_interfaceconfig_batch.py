"""interfaceconfig: command lines (interfaceconfig.md 3)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.interfaces import FACTORY_INTERFACE, Interface, InterfaceGroup
from appliance_state.model.listeners import ListenerType, new_listener
from appliance_state.names import HOSTNAME_RULES
from appliance_state.table import Table
from commands.interfaceconfig import COMMAND
from tests.support.appliance import demo_certificate, make_appliance, make_session
from tests.support.terminal import run_batch

PUBLIC = Interface(name="PublicNet", uid="i-2", ipv4="192.168.2.1", hostname="mail3.example.com", ssh_port=22, http_port=80)


def session_with_two(**sections: object) -> Session:
    """Two interfaces, a listener on the second one, a usable profile."""
    listener = new_listener(name="InboundMail", uid="l-1", kind=ListenerType.PUBLIC, interface="PublicNet", accept=("example.com",))
    ref = SecretRef("key")
    material = KeyMaterial(certificate=demo_certificate().certificate, private_key=ref)
    config = Config().with_(
        interfaces=Table([FACTORY_INTERFACE, PUBLIC]),
        listeners=Table([listener]),
        certificates=Table([CertificateProfile(name="partner.com", material=material)]),
        **sections,
    )
    appliance = make_appliance(config)
    appliance.vault.values[ref] = demo_certificate().private_key
    return make_session(appliance=appliance, interface="Management", interface_service="ssh")


async def test_new() -> None:
    session = make_session()
    line = 'interfaceconfig new Lab "data 2" lab.example.com --ip=127.0.0.2/255.0.0.0 --ip6=2001:db8::1/48 --ssh=2022 --ccs --https'
    assert await run_batch(COMMAND, session, line) == ("", False)
    made = session.draft.config.interfaces["Lab"]
    assert made.uid
    assert evolve(made, uid="") == Interface(
        name="Lab",
        ipv4="127.0.0.2",
        ipv4_prefix=8,
        ipv6="2001:db8::1",
        ipv6_prefix=48,
        ethernet="Data 2",
        hostname="lab.example.com",
        ssh_port=2022,
        ccs_port=2222,
        https_port=443,
    )


async def test_new_with_an_ipv6_address_only_and_default_prefix() -> None:
    session = make_session()
    assert await run_batch(COMMAND, session, 'interfaceconfig new six "Data 1" six.example.com --ip6=::1') == ("", False)
    made = session.draft.config.interfaces["six"]
    assert (made.ipv4, made.ipv6, made.ipv6_prefix) == (None, "::1", 64)


async def test_edit_changes_only_what_is_given() -> None:
    session = session_with_two()
    line = "interfaceconfig edit management --https=8443 --certificate=partner.com --redirect=no --ssh=off"
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert session.draft.config.interfaces["Management"] == evolve(
        FACTORY_INTERFACE, https_port=8443, https_certificate="partner.com", https_redirect=False, ssh_port=None
    )


async def test_edit_renames_and_references_follow() -> None:
    session = session_with_two()
    line = "interfaceconfig edit PublicNet --name=Front --hostname=mx.example.com --ip=192.168.2.2/25 --ethernet=Management --http=off"
    assert await run_batch(COMMAND, session, line) == ("", False)
    changed = session.draft.config.interfaces["Front"]
    assert changed == evolve(
        PUBLIC, name="Front", hostname="mx.example.com", ipv4="192.168.2.2", ipv4_prefix=25, ethernet="Management", http_port=None
    )
    assert session.draft.config.listeners["InboundMail"].interface == "Front"


async def test_an_option_without_value_is_the_default_port() -> None:
    session = make_session(Config().with_(interfaces=Table([evolve(FACTORY_INTERFACE, ssh_port=2022)])))
    assert await run_batch(COMMAND, session, "interfaceconfig edit Management --ssh") == ("", False)
    assert session.draft.config.interfaces["Management"].ssh_port == 22


async def test_certificate_and_redirection_are_kept_for_services_that_are_off() -> None:
    session = session_with_two()
    assert await run_batch(COMMAND, session, "interfaceconfig edit PublicNet --certificate=demo --redirect=no") == ("", False)
    assert session.draft.config.interfaces["PublicNet"] == evolve(PUBLIC, https_redirect=False)


async def test_list() -> None:
    assert await run_batch(COMMAND, session_with_two(), "interfaceconfig list") == (
        """\
1. Management (192.168.42.42/24 on Management: mail.example.com)
2. PublicNet (192.168.2.1/24 on Data 1: mail3.example.com)
""",
        False,
    )


async def test_delete() -> None:
    session = session_with_two()
    used = 'The interface "PublicNet" is used by: listener "InboundMail".\n'
    assert await run_batch(COMMAND, session, "interfaceconfig delete publicnet") == (used, True)
    assert not session.draft.changed
    assert await run_batch(COMMAND, session, "interfaceconfig delete publicnet --force") == ("", False)
    assert list(session.draft.config.interfaces) == ["Management"]
    last = "You cannot delete the last interface.\n"
    assert await run_batch(COMMAND, session, "interfaceconfig delete Management --force") == (last, True)


async def test_groups() -> None:
    session = session_with_two()
    assert await run_batch(COMMAND, session, "interfaceconfig groups new Inbound management") == ("", False)
    assert session.draft.config.interface_groups["Inbound"].members == {"Management"}
    assert await run_batch(COMMAND, session, "interfaceconfig groups edit inbound Management publicnet") == ("", False)
    assert session.draft.config.interface_groups["Inbound"].members == {"Management", "PublicNet"}
    assert await run_batch(COMMAND, session, "interfaceconfig groups delete inbound") == ("", False)
    assert len(session.draft.config.interface_groups) == 0


NEW = 'new Lab "Data 1" lab.example.com'
SYNTAX = "Invalid arguments when processing interfaceconfig:\n"


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("edit Nowhere --ssh", 'There is no interface named "Nowhere".'),
        ("delete Nowhere", 'There is no interface named "Nowhere".'),
        ("edit Management --certificate=nosuch", 'There is no certificate profile named "nosuch".'),
        ("edit Management --name=PUBLICNET", 'An interface named "PublicNet" already exists.'),
        ("edit Management --ip=192.168.2.1/24", 'This IP address is already in use by interface "PublicNet".'),
        ("edit Management --ip=off", "At least one IP address is required."),
        ("edit Management --ip=10.0.0.0/24", "That value is not a valid interface address."),
        (
            "edit Management --ip=10.0.0.1/33",
            'The netmask must be a prefix length, four numbers, or a hexadecimal value (Ex: "24", "255.255.255.0" or "0xffffff00").',
        ),
        ("edit Management --ip6=::1/129", "The value must be an integer from 0 to 128."),
        ("edit Management --hostname=x", HOSTNAME_RULES),
        ("edit Management --hostname=", "The value cannot be blank."),
        ("edit Management --ethernet=Data3", "The value must be an integer from 1 to 3."),
        ("edit Management --https=0", "The value must be an integer from 1 to 65535."),
        ("edit Management --https=65536", "The value must be an integer from 1 to 65535."),
        ("edit Management --https=80", "Port 80 is already used by HTTP on this interface."),
        ("edit PublicNet --https=25", 'Port 25 is already used by listener "InboundMail" on this interface.'),
        ("edit Management --redirect=maybe", "Please answer Yes or No."),
        (NEW, "At least one IP address is required."),
        (
            f"{NEW} --ip=1.2.3",
            "The IP address must be 4 numbers separated by a period.  Each number must be a value from 0 to 255. (Ex: 192.168.1.1)",
        ),
        ("groups new Inbound Nowhere", 'There is no interface named "Nowhere".'),
        ("groups new Outbound Management", 'A group named "Outbound" already exists.'),
        ("groups edit Nowhere Management", 'There is no group named "Nowhere".'),
        ("groups delete Nowhere", 'There is no group named "Nowhere".'),
        ("frobnicate", f"{SYNTAX}Unknown operation.\n: 'frobnicate'"),
        ("groups frobnicate", f"{SYNTAX}Unknown operation.\n: 'frobnicate'"),
        ("edit", f"{SYNTAX}Missing argument: <name>."),
        ("new Lab", f"{SYNTAX}Missing argument: <ethernet>."),
        ("edit Management extra", f"{SYNTAX}Too many arguments.\n: 'extra'"),
        ("edit Management --ftp=21", f"{SYNTAX}Unknown option.\n: '--ftp=21'"),
        ("groups new Inbound", f"{SYNTAX}Missing argument: <interface>."),
        ("list all", f"{SYNTAX}Too many arguments.\n: 'all'"),
    ],
)
async def test_errors_store_nothing(line: str, output: str) -> None:
    session = session_with_two(interface_groups=Table([InterfaceGroup(name="Outbound", members=frozenset({"Management"}))]))
    assert await run_batch(COMMAND, session, f"interfaceconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed


async def test_there_are_at_most_32_interfaces() -> None:
    many = [Interface(name=f"net{n}", uid=str(n), ipv4=f"10.0.{n}.1", hostname="a.example.com") for n in range(31)]
    session = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, *many])))
    assert await run_batch(COMMAND, session, f"interfaceconfig {NEW} --ip=10.1.0.1/24") == ("There is a maximum of 32 interfaces.\n", True)
