"""interfaceconfig: transcripts of EDIT, NEW, DELETE, GROUPS, every refused answer, references (interfaceconfig.md 2)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.certificates import CertificateProfile, KeyMaterial, SecretRef
from appliance_state.model.delivery import DeliverySettings
from appliance_state.model.dns import Dns
from appliance_state.model.interfaces import FACTORY_INTERFACE, Interface, InterfaceGroup
from appliance_state.model.listeners import ListenerType, new_listener
from appliance_state.names import HOSTNAME_RULES
from appliance_state.table import Table
from commands.interfaceconfig import COMMAND
from commands.interfaceconfig.questions import netmask
from commands.interfaces import pick_row
from tests.support.appliance import demo_certificate, make_appliance, make_session
from tests.support.terminal import CTRL_C, run_dialog, type_dialog

STATUS = """\
Currently configured interfaces:
1. Management (192.168.42.42/24 on Management: mail.example.com)
"""
MENU = """\
Choose the operation you want to perform:
- NEW - Create a new interface.
- EDIT - Modify an interface.
- GROUPS - Define interface groups.
- DELETE - Remove an interface.
[]> """
DEMO_NOTE = """\
The "Demo" certificate is currently configured. You may use "Demo", but this will
not be secure. To assure privacy, run "certconfig" first.
"""
OWN = "You have edited the interface you are currently logged into. Are you sure you want to change it? [Y]> "
EDIT_UNCHANGED = ["edit", "1", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""]
"""EDIT with ENTER at every question, down to the redirection."""

PUBLIC = Interface(name="PublicNet", uid="i-2", ipv4="192.168.2.1", ethernet="Data 1", hostname="mail3.example.com")


def with_listener(interface: str = "PublicNet", **sections: object) -> Config:
    listener = new_listener(name="InboundMail", uid="l-1", kind=ListenerType.PUBLIC, interface=interface, accept=("example.com",))
    return Config().with_(interfaces=Table([FACTORY_INTERFACE, PUBLIC]), listeners=Table([listener]), **sections)


def with_profiles(*names: str, certificate: str = "Demo", **fields: object) -> Session:
    ref = SecretRef("key")
    material = KeyMaterial(certificate=demo_certificate().certificate, private_key=ref)
    profiles = [CertificateProfile(name=name, material=material) for name in names]
    profiles.append(CertificateProfile(name="without-key", material=evolve(material, private_key=None)))
    interface = evolve(FACTORY_INTERFACE, https_certificate=certificate)
    appliance = make_appliance(Config().with_(interfaces=Table([interface]), certificates=Table(profiles)))
    appliance.vault.values[ref] = demo_certificate().private_key
    return make_session(appliance=appliance, **fields)


async def test_transcript_of_edit() -> None:
    session = make_session(interface="Management", interface_service="ssh")
    answers = EDIT_UNCHANGED.copy()
    answers[8] = "mx.example.com"
    assert await run_dialog(COMMAND, session, [*answers, "", ""]) == (
        f"""\
{STATUS}
{MENU}edit

Enter the number of the interface you wish to edit.
[]> 1

IP interface name (Ex: "InternalNet"):
[Management]> 

Would you like to configure an IPv4 address for this interface (y/n)? [Y]> 

IPv4 Address (Ex: 192.168.1.2 ):
[192.168.42.42]> 

Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):
[24]> 

Would you like to configure an IPv6 address for this interface (y/n)? [N]> 

Ethernet interface:
1. Data 1
2. Data 2
3. Management
[3]> 

Hostname:
[mail.example.com]> mx.example.com

Do you want to enable SSH on this interface? [Y]> 

Which port do you want to use for SSH?
[22]> 

Do you want to enable Cluster Communication Service on this interface? [N]> 

Do you want to enable HTTP on this interface? [Y]> 

Which port do you want to use for HTTP?
[80]> 

Do you want to enable HTTPS on this interface? [Y]> 

Which port do you want to use for HTTPS?
[443]> 

{DEMO_NOTE}
Both HTTP and HTTPS are enabled for this interface, should HTTP requests redirect to the
secure service? [Y]> 

{OWN}

{STATUS.replace("mail.example.com", "mx.example.com")}
{MENU}
"""
    )
    assert session.draft.config.interfaces["management"].hostname == "mx.example.com"


async def test_edit_without_a_change_stores_nothing_and_does_not_ask_about_the_own_interface() -> None:
    session = make_session(interface="Management", interface_service="ssh")
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED, ""])
    assert "currently logged into" not in transcript
    assert not session.draft.changed


async def test_no_question_names_a_service_that_does_not_exist() -> None:
    transcript = await run_dialog(COMMAND, make_session(), [*EDIT_UNCHANGED, ""])
    assert not any(word in transcript for word in ("FTP", "Telnet", "Spam", "API"))


NEW_START = ["new", "PublicNet", "", "192.168.2.1", "", "", "", "mail3.example.com"]


async def test_transcript_of_new() -> None:
    session = make_session()
    assert await run_dialog(COMMAND, session, [*NEW_START, "", "", "", "", ""]) == (
        f"""\
{STATUS}
{MENU}new

IP interface name (Ex: "InternalNet"):
[]> PublicNet

Would you like to configure an IPv4 address for this interface (y/n)? [Y]> 

IPv4 Address (Ex: 192.168.1.2 ):
[]> 192.168.2.1

Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):
[24]> 

Would you like to configure an IPv6 address for this interface (y/n)? [N]> 

Ethernet interface:
1. Data 1
2. Data 2
3. Management
[1]> 

Hostname:
[]> mail3.example.com

Do you want to enable SSH on this interface? [N]> 

Do you want to enable Cluster Communication Service on this interface? [N]> 

Do you want to enable HTTP on this interface? [N]> 

Do you want to enable HTTPS on this interface? [N]> 

{STATUS}2. PublicNet (192.168.2.1/24 on Data 1: mail3.example.com)

{MENU}
"""
    )
    made = session.draft.config.interfaces["PublicNet"]
    assert evolve(made, uid="") == evolve(PUBLIC, uid="")
    assert made.uid


async def test_new_with_both_addresses_and_all_services() -> None:
    session = make_session()
    answers = ["new", "Lab", "y", "127.0.0.2", "255.0.0.0", "y", "2001:DB8::1", "", "data 2", "Lab.Example.COM"]
    answers += ["y", "2022", "y", "", "y", "", "y", "8443", "n", ""]
    transcript = await run_dialog(COMMAND, session, answers)
    assert "1. Lab (127.0.0.2/8, 2001:db8::1/64 on Data 2: lab.example.com)\n" in transcript
    assert "IPv6 Address (Ex: 2001:420:80:1::5 ):\n[]> " in transcript
    assert 'Prefix length (Ex: "64"):\n[64]> ' in transcript
    assert "[2222]> " in transcript
    made = session.draft.config.interfaces["lab"]
    assert (made.ssh_port, made.ccs_port, made.http_port, made.https_port, made.https_redirect) == (2022, 2222, 80, 8443, False)


async def test_there_are_at_most_32_interfaces() -> None:
    many = [Interface(name=f"net{n}", uid=str(n), ipv4=f"10.0.{n}.1", hostname="a.example.com") for n in range(31)]
    full = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, *many])))
    assert "[]> new\nThere is a maximum of 32 interfaces.\n" in await run_dialog(COMMAND, full, ["new", ""])
    room = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, *many[:30]])))
    await run_dialog(COMMAND, room, [*NEW_START, "", "", "", "", ""])
    assert len(room.draft.config.interfaces) == 32


NAME_RULE = "An interface name may contain letters, numbers, spaces, periods, underscores and hyphens, and must be at most 64 characters."
NETMASK_RULE = 'The netmask must be a prefix length, four numbers, or a hexadecimal value (Ex: "24", "255.255.255.0" or "0xffffff00").'
IPV4 = "The IP address must be 4 numbers separated by a period.  Each number must be a value from 0 to 255. (Ex: 192.168.1.1)"
NOT_FOR_INTERFACES = "That value is not a valid interface address."
IPV6 = "The IP address must be a valid IPv6 address. (Ex: 2001:420:80:1::5)"
PORT = "The value must be an integer from 1 to 65535."


@pytest.mark.parametrize(
    ("before", "question", "wrong", "text"),
    [
        ([], 'IP interface name (Ex: "InternalNet"):\n[]> ', "", "The value cannot be blank."),
        ([], 'IP interface name (Ex: "InternalNet"):\n[]> ', "a/b", NAME_RULE),
        ([], 'IP interface name (Ex: "InternalNet"):\n[]> ', "n" * 65, NAME_RULE),
        ([], 'IP interface name (Ex: "InternalNet"):\n[]> ', "MANAGEMENT", 'An interface named "Management" already exists.'),
        ([], 'IP interface name (Ex: "InternalNet"):\n[]> ', "inbound", 'A group named "Inbound" already exists.'),
        (["Net"], "Would you like to configure an IPv4 address for this interface (y/n)? [Y]> ", "x", "Please answer Yes or No."),
        (["Net", ""], "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ", "1.2.3", IPV4),
        (["Net", ""], "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ", "192.168.1.256", IPV4),
        (["Net", ""], "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ", "0.1.2.3", NOT_FOR_INTERFACES),
        (["Net", ""], "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ", "224.0.0.1", NOT_FOR_INTERFACES),
        (["Net", ""], "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ", "255.255.255.255", NOT_FOR_INTERFACES),
        (
            ["Net", ""],
            "IPv4 Address (Ex: 192.168.1.2 ):\n[]> ",
            "192.168.42.42",
            'This IP address is already in use by interface "Management".',
        ),
        (["Net", "", "10.0.0.1"], 'Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):\n[24]> ', "33", NETMASK_RULE),
        (["Net", "", "10.0.0.1"], 'Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):\n[24]> ', "255.0.255.0", NETMASK_RULE),
        (["Net", "", "10.0.0.1"], 'Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):\n[24]> ', "0xff00ff00", NETMASK_RULE),
        (["Net", "n", "y"], "IPv6 Address (Ex: 2001:420:80:1::5 ):\n[]> ", "2001::g", IPV6),
        (["Net", "n", "y"], "IPv6 Address (Ex: 2001:420:80:1::5 ):\n[]> ", "ff02::1", NOT_FOR_INTERFACES),
        (["Net", "n", "y"], "IPv6 Address (Ex: 2001:420:80:1::5 ):\n[]> ", "::", NOT_FOR_INTERFACES),
        (["Net", "n", "y", "::1"], 'Prefix length (Ex: "64"):\n[64]> ', "129", "The value must be an integer from 0 to 128."),
        (["Net", "n", "y", "::1"], 'Prefix length (Ex: "64"):\n[64]> ', "-1", "The value must be an integer from 0 to 128."),
        (
            ["Net", "", "10.0.0.1", "", ""],
            "Ethernet interface:\n1. Data 1\n2. Data 2\n3. Management\n[1]> ",
            "4",
            "The value must be an integer from 1 to 3.",
        ),
        (["Net", "", "10.0.0.1", "", "", ""], "Hostname:\n[]> ", "localhost", HOSTNAME_RULES),
        (["Net", "", "10.0.0.1", "", "", "", "a.test", "y"], "Which port do you want to use for SSH?\n[22]> ", "0", PORT),
        (["Net", "", "10.0.0.1", "", "", "", "a.test", "y"], "Which port do you want to use for SSH?\n[22]> ", "65536", PORT),
        (
            ["Net", "", "10.0.0.1", "", "", "", "a.test", "n", "n", "y", "443", "y"],
            "Which port do you want to use for HTTPS?\n[443]> ",
            "",
            "Port 443 is already used by HTTP on this interface.",
        ),
    ],
)
async def test_a_refused_answer_prints_its_text_and_the_question_again(before: list[str], question: str, wrong: str, text: str) -> None:
    session = make_session(Config().with_(interface_groups=Table([InterfaceGroup(name="Inbound", members=frozenset({"Management"}))])))
    transcript, failed = await type_dialog(COMMAND.dialog, session, ["new", *before, wrong, CTRL_C])
    assert f"\n\n{question}{wrong}\n{text}\n\n{question}^C\n" in transcript
    assert failed
    assert not session.draft.changed


async def test_the_port_of_a_listener_is_taken() -> None:
    session = make_session(with_listener())
    answers = ["edit", "PublicNet", "", "", "", "", "", "", "", "y", "25", CTRL_C]
    assert 'Port 25 is already used by listener "InboundMail" on this interface.\n' in await run_dialog(COMMAND, session, answers)


async def test_network_and_broadcast_address_of_the_mask_are_refused_and_the_address_is_asked_again() -> None:
    session = make_session()
    for address, mask in (("10.0.0.0", "24"), ("10.0.0.255", "0xffffff00"), ("127.0.0.0", "8")):
        transcript = await run_dialog(COMMAND, session, ["new", "Net", "", address, mask, CTRL_C])
        assert transcript.endswith(f"[24]> {mask}\n{NOT_FOR_INTERFACES}\n\nIPv4 Address (Ex: 192.168.1.2 ):\n[]> ^C\n")
    await run_dialog(COMMAND, session, ["new", "Net", "", "10.0.0.0", "31", "", "", "a.test", "", "", "", "", ""])
    assert session.draft.config.interfaces["Net"].ipv4_prefix == 31


async def test_an_interface_has_at_least_one_address() -> None:
    transcript = await run_dialog(COMMAND, make_session(), ["new", "Net", "n", "n", "n", "y", "::1", "128", CTRL_C])
    first = "Would you like to configure an IPv4 address for this interface (y/n)? [Y]> "
    assert f"(y/n)? [N]> n\nAt least one IP address is required.\n\n{first}n\n" in transcript


@pytest.mark.parametrize("number", ["0", "2", "x"])
async def test_a_number_that_is_not_in_the_list(number: str) -> None:
    transcript = await run_dialog(COMMAND, make_session(), ["edit", number, "", ""])
    assert f"[]> {number}\nThe value must be an integer from 1 to 1.\n\nEnter the number of the interface you wish to edit.\n" in transcript


@pytest.mark.parametrize(("text", "prefix"), [("24", 24), ("255.255.255.0", 24), ("0xffffff00", 24), ("0", 0), ("32", 32), ("0.0.0.0", 0)])
def test_forms_of_a_netmask(text: str, prefix: int) -> None:
    assert netmask(text) == prefix


async def test_ctrl_c_at_the_host_name_leaves_the_interface_unchanged() -> None:
    session = make_session()
    transcript, failed = await type_dialog(COMMAND.dialog, session, ["edit", "1", "Renamed", "", "", "", "", "", CTRL_C])
    assert transcript.endswith("Hostname:\n[mail.example.com]> ^C\n")
    assert failed
    assert not session.draft.changed


async def test_end_of_input_in_new_creates_nothing() -> None:
    session = make_session()
    _, failed = await type_dialog(COMMAND.dialog, session, NEW_START)
    assert failed
    assert not session.draft.changed


# -- certificate ----------------------------------------------------------------------------------------------------


async def test_certificate_question_with_own_profiles() -> None:
    session = with_profiles("partner.com", "mail.example.com")
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED[:-1], "2", "", ""])
    assert (
        """
Which port do you want to use for HTTPS?
[443]> 

The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.

1. mail.example.com
2. partner.com
3. Demo
Please choose the certificate to apply:
[3]> 2

Both HTTP and HTTPS"""
        in transcript
    )
    assert session.draft.config.interfaces["Management"].https_certificate == "partner.com"


async def test_own_certificate_is_the_default_and_demo_is_noted_when_it_is_chosen() -> None:
    session = with_profiles("partner.com", certificate="partner.com")
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED[:-1], "", "", ""])
    assert "[443]> \n\n1. partner.com\n2. Demo\nPlease choose the certificate to apply:\n[1]> \n\n" in transcript
    assert not session.draft.changed
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED[:-1], "demo", "", ""])
    assert f"[1]> demo\n{DEMO_NOTE}\nBoth HTTP" in transcript
    assert session.draft.config.interfaces["Management"].https_certificate == "Demo"


async def test_no_certificate_and_no_redirection_without_their_services() -> None:
    session = with_profiles("partner.com")
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED[:-3], "n", ""])
    assert "certificate" not in transcript
    assert "redirect" not in transcript
    assert session.draft.config.interfaces["Management"].https_port is None
    session = with_profiles("partner.com")
    transcript = await run_dialog(COMMAND, session, [*EDIT_UNCHANGED[:-5], "n", "", "", "", ""])
    assert "redirect" not in transcript
    assert session.draft.config.interfaces["Management"].http_port is None


# -- own interface --------------------------------------------------------------------------------------------------

SSH_OFF = ["edit", "1", "", "", "", "", "", "", "", "n", "", "", "", "", "", ""]


async def test_the_service_in_use_is_switched_off() -> None:
    session = make_session(interface="Management", interface_service="ssh")
    transcript = await run_dialog(COMMAND, session, [*SSH_OFF, "n", ""])
    assert f"\n\nWarning: SSH will be disabled on the interface you are currently logged into.\n{OWN}n\n\n{STATUS}" in transcript
    assert not session.draft.changed
    await run_dialog(COMMAND, session, [*SSH_OFF, "y", ""])
    assert session.draft.config.interfaces["Management"].ssh_port is None


async def test_no_interface_will_offer_https() -> None:
    answers = [*EDIT_UNCHANGED[:-3], "n", "y", ""]
    warning = "Warning: No interface will offer HTTPS after this change.\n"
    alone = make_session(interface="Management", interface_service="ssh")
    assert f"{warning}{OWN}" in await run_dialog(COMMAND, alone, answers)
    others = Config().with_(interfaces=Table([FACTORY_INTERFACE, evolve(PUBLIC, https_port=443)]))
    assert warning not in await run_dialog(COMMAND, make_session(others, interface="Management", interface_service="ssh"), answers)


@pytest.mark.parametrize("interface", [None, "PublicNet"])
async def test_sessions_from_elsewhere_are_not_asked(interface: str | None) -> None:
    session = make_session(with_listener(), interface=interface, interface_service="ssh")
    assert "currently logged into" not in await run_dialog(COMMAND, session, [*SSH_OFF, ""])
    assert session.draft.config.interfaces["Management"].ssh_port is None


async def test_a_renamed_own_interface_is_still_the_own_one() -> None:
    session = make_session(interface="Management", interface_service="ssh")
    answers = EDIT_UNCHANGED.copy()
    answers[2] = "Front"
    transcript = await run_dialog(COMMAND, session, [*answers, "y", *SSH_OFF, "n", ""])
    assert transcript.count(OWN) == 2
    assert session.draft.config.interfaces["Front"].ssh_port == 22


# -- references and deletion ----------------------------------------------------------------------------------------


async def test_renaming_changes_every_reference() -> None:
    group = InterfaceGroup(name="Inbound", members=frozenset({"publicnet", "Management"}))
    config = with_listener(
        interface_groups=Table([group]), dns=Dns(interface="PublicNet"), delivery=DeliverySettings(interface="PUBLICNET")
    )
    session = make_session(config)
    await run_dialog(COMMAND, session, ["edit", "2", "Front", "", "", "", "", "", "", "", "", "", "", ""])
    changed = session.draft.config
    assert list(changed.interfaces) == ["Management", "Front"]
    assert changed.interfaces["Front"].uid == "i-2"
    assert changed.listeners["InboundMail"].interface == "Front"
    assert changed.interface_groups["Inbound"].members == {"Front", "Management"}
    assert (changed.dns.interface, changed.delivery.interface) == ("Front", "Front")


async def test_deleting_an_interface_in_use() -> None:
    group = InterfaceGroup(name="Inbound", members=frozenset({"PublicNet", "Management"}))
    session = make_session(with_listener(interface_groups=Table([group]), delivery=DeliverySettings(interface="PublicNet")))
    question = (
        '\n\nThe interface "PublicNet" is used by: listener "InboundMail", interface group "Inbound", deliveryconfig.\n'
        "Are you sure you want to delete it? [N]> "
    )
    assert question in await run_dialog(COMMAND, session, ["delete", "2", "", ""])
    assert not session.draft.changed
    await run_dialog(COMMAND, session, ["delete", "publicnet", "y", ""])
    assert list(session.draft.config.interfaces) == ["Management"]
    assert session.draft.config.interface_groups["Inbound"].members == {"Management"}
    assert session.draft.config.listeners["InboundMail"].interface == "PublicNet"


async def test_deleting_an_unused_interface_asks_nothing() -> None:
    session = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, PUBLIC])))
    assert f"Enter the number of the interface you wish to delete.\n[]> 2\n\n{STATUS}\n{MENU}" in await run_dialog(
        COMMAND, session, ["delete", "2", ""]
    )


async def test_deleting_the_own_interface() -> None:
    session = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, PUBLIC])), interface="Management", interface_service="ssh")
    question = "You are about to delete the interface you are currently logged into. Are you sure? [N]> "
    assert question in await run_dialog(COMMAND, session, ["delete", "1", "", ""])
    assert not session.draft.changed
    await run_dialog(COMMAND, session, ["delete", "1", "y", ""])
    assert list(session.draft.config.interfaces) == ["PublicNet"]


async def test_the_last_interface_stays() -> None:
    session = make_session()
    assert "[]> 1\nYou cannot delete the last interface.\n\n" in await run_dialog(COMMAND, session, ["delete", "1", ""])
    assert not session.draft.changed


# -- groups ---------------------------------------------------------------------------------------------------------

DATA = Interface(name="Data 1", uid="i-3", ipv4="192.168.1.1", hostname="mail3.example.com")


async def test_transcript_of_groups() -> None:
    session = make_session(Config().with_(interfaces=Table([FACTORY_INTERFACE, DATA])))
    transcript = await run_dialog(COMMAND, session, ["groups", "new", "Inbound", "1,2", "", ""])
    assert (
        """\
[]> groups

There are currently no IP groups configured.

Choose the operation you want to perform:
- NEW - Create a new group.
[]> new

Enter the name for this group:
[]> Inbound

Enter the name or number of the interfaces to be included in the group.  Separate multiple interfaces with commas.
1. Data 1 (192.168.1.1/24: mail3.example.com)
2. Management (192.168.42.42/24: mail.example.com)
[]> 1,2

Currently configured IP groups:
1. Inbound (2 interfaces)

Choose the operation you want to perform:
- NEW - Create a new group.
- EDIT - Modify a group.
- DELETE - Remove a group.
[]> 
"""
        in transcript
    )
    assert session.draft.config.interface_groups["inbound"].members == {"Data 1", "Management"}


async def test_editing_and_deleting_a_group() -> None:
    group = InterfaceGroup(name="Inbound", members=frozenset({"data 1"}))
    session = make_session(
        Config().with_(
            interfaces=Table([FACTORY_INTERFACE, DATA]),
            interface_groups=Table([group]),
            delivery=DeliverySettings(interface="inbound"),
        )
    )
    transcript = await run_dialog(COMMAND, session, ["groups", "edit", "1", "Both", "data 1,management", "", ""])
    assert "1. Inbound (1 interface)\n" in transcript
    assert "[Inbound]> Both\n" in transcript
    assert "\n[1]> data 1,management\n" in transcript
    assert session.draft.config.interface_groups["Both"].members == {"Data 1", "Management"}
    assert session.draft.config.delivery.interface == "Both"
    transcript = await run_dialog(COMMAND, session, ["groups", "delete", "both", "", ""])
    assert transcript.count("There are currently no IP groups configured.") == 1
    assert len(session.draft.config.interface_groups) == 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("", "The value cannot be blank."),
        ("a,b", NAME_RULE),
        ("management", 'An interface named "Management" already exists.'),
        ("INBOUND", 'A group named "Inbound" already exists.'),
    ],
)
async def test_a_refused_name_of_a_group(wrong: str, text: str) -> None:
    session = make_session(Config().with_(interface_groups=Table([InterfaceGroup(name="Inbound", members=frozenset({"Management"}))])))
    question = "Enter the name for this group:\n[]> "
    transcript = await run_dialog(COMMAND, session, ["groups", "new", wrong, CTRL_C])
    assert f"{question}{wrong}\n{text}\n\n{question}^C\n" in transcript
    assert not session.draft.changed


def test_row_of_pick_lists() -> None:
    assert pick_row(FACTORY_INTERFACE) == "Management (192.168.42.42/24: mail.example.com)"
    assert pick_row(evolve(PUBLIC, ipv6="2001:db8::1")) == "PublicNet (192.168.2.1/24, 2001:db8::1/64: mail3.example.com)"
