"""ldapconfig as it is typed (ldapconfig.md 2, 3). The validation of NEW: `test_ldap_against_directories.py`."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.ldap import LdapAuth, LdapServer, LdapServerType
from appliance_state.names import HOSTNAME_RULES
from appliance_state.table import Table
from commands.ldapconfig import COMMAND
from tests.support.lab_ca import issue, mail_leaf
from tests.support.terminal import CTRL_C, run_dialog, type_dialog

FIRST_MENU = """\
Choose the operation you want to perform:
- NEW - Create a new server configuration.
- SETUP - Configure LDAP options.
[]> """
FULL_MENU = """\
Choose the operation you want to perform:
- NEW - Create a new server configuration.
- EDIT - Modify a server configuration.
- DELETE - Remove a server configuration.
- SETUP - Configure LDAP options.
[]> """
BLOCK = """\
Name: PublicLDAP
Hostname: ldap.example.com Port 636
Server Type: OpenLDAP
SSL: Yes
Authentication Type: password based
Base: dc=example,dc=com
"""
NEW = f"""\
No LDAP server configurations.

{FIRST_MENU}new

Please create a name for this server configuration (Ex: "PublicLDAP"):
[]> PublicLDAP

Please enter the hostname or IP address of the LDAP server. Separate multiple entries with commas.
[]> ldap.example.com

Use SSL to connect to the LDAP server? [N]> y

Select the authentication method to use for this server configuration:
1. Anonymous
2. Password based
[1]> 2

Please enter the bind username:
[cn=Anonymous]> cn=esa,dc=example,dc=com

Please enter the bind passphrase:
[]> 

Please enter the new passphrase again:
[]> 

Select the server type to use for this server configuration:
1. Active Directory
2. OpenLDAP
3. Unknown Server Type
[3]> 2

Please enter the port number:
[636]> 

Please enter the base:
[dc=example,dc=com]> 

Connect to LDAP server to validate setting? [Y]> n

{BLOCK}
Current LDAP server configurations:
1. PublicLDAP: (ldap.example.com:636)

{FULL_MENU}
"""
NEW_ANSWERS = ("new", "PublicLDAP", "ldap.example.com", "y", "2", "cn=esa,dc=example,dc=com", "s3cr3t", "s3cr3t", "2", "", "", "n", "")
SERVER_MENU = """\
Choose the operation you want to perform:
- NAME - Change the name of this configuration.
- HOSTNAME - Change the hostname used for this query.
- PORT - Configure the port.
- SSL - Configure SSL.
- AUTHTYPE - Choose the authentication type.
- SERVERTYPE - Choose the server type.
- BASE - Configure the query base.
[]> """
ANONYMOUS = LdapServer(name="A", hostnames=("a.example.com",), base="dc=a")


def put(session: Session, *servers: LdapServer) -> None:
    draft = session.draft
    draft.config = draft.config.with_(ldap=evolve(draft.config.ldap, servers=Table(servers)))


def server(session: Session, name: str = "A") -> LdapServer:
    return session.draft.config.ldap.servers[name]


async def edit(session: Session, *answers: str) -> str:
    """EDIT > SERVER of the first profile; what comes after its menu was shown for the first time."""
    screen = await run_dialog(COMMAND, session, ["edit", "1", "server", *answers, "", "", ""])
    return screen.split(SERVER_MENU, 1)[1]


async def test_new_line_by_line(session: Session) -> None:
    assert await run_dialog(COMMAND, session, NEW_ANSWERS) == NEW
    stored = server(session, "publicldap")
    assert stored.bind_passphrase is not None and session.draft.reveal(stored.bind_passphrase) == b"s3cr3t"
    assert evolve(stored, bind_passphrase=None) == LdapServer(
        name="PublicLDAP",
        hostnames=("ldap.example.com",),
        port=636,
        use_ssl=True,
        auth_type=LdapAuth.PASSWORD,
        bind_user="cn=esa,dc=example,dc=com",
        server_type=LdapServerType.OPENLDAP,
        base="dc=example,dc=com",
    )


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (("", "1", "3", "", ""), {"port": 389}),
        (("y", "1", "unknown server type", "", ""), {"port": 636, "use_ssl": True}),
        (("", "", "1", "", ""), {"port": 3268, "server_type": LdapServerType.ACTIVE_DIRECTORY}),
        (("yes", "anonymous", "active directory", "", ""), {"port": 3269, "use_ssl": True, "server_type": LdapServerType.ACTIVE_DIRECTORY}),
        (("", "", "", "10389", "o=Example AG"), {"port": 10389, "base": "o=Example AG"}),
        (("", "", "", "", '""'), {"base": ""}),
    ],
)
async def test_new_proposals(session: Session, answers: tuple[str, ...], expected: dict[str, Any]) -> None:
    await run_dialog(COMMAND, session, ["new", "A", "a.example.com", *answers, "n", ""])
    assert server(session) == evolve(ANONYMOUS, **{"base": "dc=example,dc=com", **expected})


async def test_a_user_at_a_domain_is_for_active_directory(session: Session) -> None:
    head = ["new", "A", "a.example.com", "", "2", "esa@example.com", "x", "x"]
    await run_dialog(COMMAND, session, [*head, "1", "", "", "n", ""])
    assert server(session).bind_user == "esa@example.com"
    head[1] = "B"
    screen = await run_dialog(COMMAND, session, [*head, "2", "esa@example.com", "cn=esa", "", "", "n", ""])
    user = "\nPlease enter the bind username:\n[cn=Anonymous]> "
    assert f"[3]> 2\n{RULE}\n{user}esa@example.com\n{RULE}\n{user}cn=esa\n\nPlease enter the port" in screen
    assert server(session, "B").bind_user == "cn=esa"


RULE = "The value must be a distinguished name. (Ex: dc=example,dc=com)"
HOST_RULE = f"The LDAP Server Hostname should be the hostname or IP address of the LDAP server.\n{HOSTNAME_RULES}"
PORT_RULE = "The LDAP Server Port should be an integer from 1 to 65535."
NAME_RULE = "The name may contain letters, numbers, underscores and hyphens."
BAD_BASES = ('""', "example", "dc=", "dc=example,", "dc=example,dc", "=x", "dc=a<b", "dc=a\\", "dc=a;dc=b", "9=x", "d c=x")


@pytest.mark.parametrize(
    ("question", "wrong", "right", "text"),
    [
        ("name", ("a b", "a.b", "ä", "x" * 64), "x" * 63, NAME_RULE),
        ("name", ("a", "A"), "B_-9", 'A server configuration named "A" already exists.'),
        ("hostname", ("ldap", "a.test,", ",", "192.0.2", "192.0.2.256", "a.test b.test", "fe80::1%lo", "-a.test"), "b.test", HOST_RULE),
        ("port", ("0", "65536", "x", "-1", "1.5", "٣"), "65535", PORT_RULE),
        ("base", BAD_BASES, "dc=b", RULE),
        ("user", ("example", "esa@", "esa@example", 'cn="x"'), "cn=b", RULE),
    ],
)
async def test_error_texts_of_new(session: Session, question: str, wrong: tuple[str, ...], right: str, text: str) -> None:
    put(session, ANONYMOUS)
    dialog = [
        ("name", ["B"]),
        ("hostname", ["b.test"]),
        ("auth", ["", "2"]),
        ("user", ["cn=b"]),
        ("rest", ["x", "x", "2"]),
        ("port", [""]),
        ("base", [""]),
    ]
    for answer in wrong:
        session.draft.discard()
        put(session, ANONYMOUS)
        answers = [given for key, normal in dialog for given in ([answer, right] if key == question else normal)]
        screen, failed = await type_dialog(COMMAND.dialog, session, ["new", *answers, "n", ""])
        assert f"> {answer}\n{text}\n\nPlease " in screen and failed, answer
        assert len(session.draft.config.ldap.servers) == 2, answer


async def test_several_hosts_in_order(session: Session) -> None:
    await run_dialog(COMMAND, session, ["new", "A", "B.test, 192.0.2.1,2001:DB8:0::1 , b.test", "", "", "", "", "", "n", ""])
    assert server(session).hostnames == ("b.test", "192.0.2.1", "2001:db8::1")
    screen = await run_dialog(COMMAND, session, [""])
    assert "1. A: (b.test:389, 192.0.2.1:389, [2001:db8::1]:389)\n" in screen
    assert "\nHostname: b.test, 192.0.2.1, 2001:db8::1 Port 389\n" in await run_dialog(COMMAND, session, ["edit", "a", "", ""])


@pytest.mark.parametrize(
    "name",
    [
        "dc=example,dc=com",
        "uid=esa, ou=Mail Gateways , dc=example,dc=com",
        'CN=a\\, b+UID=7,O=\\#1 \\"x\\"',
        "2.5.4.3=#0c0161,dc=x",
        "cn=Zürich,c=CH",
        "cn=\\C3\\A4,l=a=b",
    ],
)
async def test_distinguished_names(session: Session, name: str) -> None:
    put(session, ANONYMOUS)
    await edit(session, "base", name)
    assert server(session).base == name


async def test_passphrases(session: Session) -> None:
    """Empty, no UTF-8, mistyped, and at last twice the same."""
    answers = ["new", "A", "a.test", "", "2", "", "", "\udcff", "one", "two", "s3cr3t", "s3cr3t", "", "", "", "n", ""]
    screen = await run_dialog(COMMAND, session, answers)
    asked, again = "\nPlease enter the bind passphrase:\n[]> \n", "\nPlease enter the new passphrase again:\n[]> \n"
    different = "The passphrases do not match.\n"
    assert f"{asked}The value cannot be blank.\n{asked}That value is not valid.\n{asked}{again}{different}{asked}{again}\nSelect" in screen
    assert "s3cr3t" not in screen
    assert (ref := server(session).bind_passphrase) is not None and session.draft.reveal(ref) == b"s3cr3t"


@pytest.mark.parametrize("given", range(1, len(NEW_ANSWERS) - 2))
async def test_ctrl_c_in_new_stores_nothing(session: Session, given: int) -> None:
    await run_dialog(COMMAND, session, [*NEW_ANSWERS[:given], CTRL_C])
    assert not session.draft.changed and not session.draft.secrets


async def test_edit_line_by_line(session: Session) -> None:
    await run_dialog(COMMAND, session, NEW_ANSWERS)
    screen = await run_dialog(COMMAND, session, ["edit", "1", "server", "port", "1636", "", "", ""])
    changed = BLOCK.replace("636", "1636")
    assert screen == (
        f"Current LDAP server configurations:\n1. PublicLDAP: (ldap.example.com:636)\n\n{FULL_MENU}edit\n\n"
        "Enter the name or number of the server configuration you wish to edit:\n[]> 1\n\n"
        f"{BLOCK}\nChoose the operation you want to perform:\n- SERVER - Change the server for the query.\n[]> server\n\n"
        f"{BLOCK}\n{SERVER_MENU}port\n\nPlease enter the port number:\n[636]> 1636\n\n{changed}\n{SERVER_MENU}\n"
        f"\n{changed}\nChoose the operation you want to perform:\n- SERVER - Change the server for the query.\n[]> \n\n"
        f"Current LDAP server configurations:\n1. PublicLDAP: (ldap.example.com:1636)\n\n{FULL_MENU}\n"
    )


async def test_edit_asks_with_the_current_values(session: Session) -> None:
    put(session, evolve(ANONYMOUS, hostnames=("a.test", "b.test"), use_ssl=True, port=777, base=""))
    shown = await edit(session, "name", "", "hostname", "", "port", "", "ssl", "", "authtype", "", "servertype", "", "base", "")
    for prompt in ("\n[A]> ", "\n[a.test, b.test]> ", "\n[777]> ", "? [Y]> ", "\n[1]> ", "\n[3]> ", '\n[""]> '):
        assert prompt in shown
    assert server(session) == evolve(ANONYMOUS, hostnames=("a.test", "b.test"), use_ssl=True, port=777, base="")


async def test_a_name_is_changed(session: Session) -> None:
    put(session, ANONYMOUS, evolve(ANONYMOUS, name="B"))
    shown = await edit(session, "name", "b", "a", "name", "C")
    assert '[A]> b\nA server configuration named "B" already exists.\n' in shown and "\nName: C\n" in shown
    assert [entry.name for entry in session.draft.config.ldap.servers.sorted()] == ["B", "C"]


@pytest.mark.parametrize(
    ("port", "kind", "there", "back"),
    [
        (389, LdapServerType.OPENLDAP, 636, 389),
        (389, LdapServerType.UNKNOWN, 636, 389),
        (3268, LdapServerType.ACTIVE_DIRECTORY, 3269, 3268),
        (389, LdapServerType.ACTIVE_DIRECTORY, 389, 389),
        (10389, LdapServerType.OPENLDAP, 10389, 10389),
        (636, LdapServerType.OPENLDAP, 636, 389),
    ],
)
async def test_ssl_moves_a_standard_port_only(session: Session, port: int, kind: LdapServerType, there: int, back: int) -> None:
    put(session, evolve(ANONYMOUS, port=port, server_type=kind))
    await edit(session, "ssl", "y")
    assert (server(session).use_ssl, server(session).port) == (True, there)
    await edit(session, "ssl", "n")
    assert (server(session).use_ssl, server(session).port) == (False, back)


async def test_authtype(session: Session) -> None:
    """A stored passphrase stays, is changed, goes with the bind that needs it."""
    put(session, ANONYMOUS)
    shown = await edit(session, "authtype", "2", "cn=esa", "old", "old")
    assert "\nPlease enter the bind passphrase:\n[]> \n" in shown
    first = server(session).bind_passphrase
    shown = await edit(session, "authtype", "", "", "")
    assert "\n[cn=esa]> \n\nPlease enter the bind passphrase. Press Enter to leave the passphrase unchanged.\n[]> \n\nName: A\n" in shown
    assert server(session).bind_passphrase == first and server(session).bind_user == "cn=esa"
    await edit(session, "authtype", "", "", "new", "new")
    assert (ref := server(session).bind_passphrase) is not None and session.draft.reveal(ref) == b"new"
    await edit(session, "authtype", "1")
    assert server(session) == ANONYMOUS


async def test_the_type_is_known_when_the_user_is_edited(session: Session) -> None:
    put(session, ANONYMOUS)
    shown = await edit(session, "authtype", "2", "esa@example.com", "cn=esa", "x", "x")
    assert f"> esa@example.com\n{RULE}\n" in shown
    await edit(session, "servertype", "1", "authtype", "", "esa@example.com", "")
    assert server(session).bind_user == "esa@example.com"


async def test_a_new_type_asks_for_what_does_not_fit(session: Session) -> None:
    put(session, evolve(ANONYMOUS, base=""))
    await edit(session, "servertype", "1", "", "authtype", "2", "esa@example.com", "x", "x")
    assert server(session).base == "dc=example,dc=com"
    shown = await edit(session, "servertype", "3", "cn=esa")
    assert f"[1]> 3\n{RULE}\n\nPlease enter the bind username:\n[cn=Anonymous]> cn=esa\n" in shown
    assert (server(session).bind_user, server(session).server_type) == ("cn=esa", LdapServerType.UNKNOWN)


async def test_delete_asks(session: Session) -> None:
    put(session, ANONYMOUS, evolve(ANONYMOUS, name="B"))
    question = "\nEnter the name or number of the server configuration you wish to delete:\n[]> "
    sure = 'Are you sure you want to delete "B"? [N]> '
    screen = await run_dialog(COMMAND, session, ["delete", "x", "b", "", "delete", "2", "y", "delete", "", ""])
    assert f'{question}x\nThere is no server configuration named "x".\n{question}b\n\n{sure}\n\nCurrent' in screen
    assert f"{question}2\n\n{sure}y\n\nCurrent LDAP server configurations:\n1. A: (a.example.com:389)\n" in screen
    assert [entry.name for entry in session.draft.config.ldap.servers.entries()] == ["A"]


async def test_the_menu_words_need_a_profile(session: Session) -> None:
    screen = await run_dialog(COMMAND, session, ["edit", "delete", ""])
    assert 'Unknown option "edit".' in screen and 'Unknown option "delete".' in screen


SETUP = """\
Choose the IP interface for LDAP traffic.
1. Auto
2. Management (192.168.42.42/24: mail.example.com)
[1]> {}
{}

Do you want to validate the LDAP server certificate? [N]> {}

{}1. mail.example.com
2. partner.com
3. Demo
Please choose the certificate to apply:
[{}]> {}

No LDAP server configurations.

"""
DEMO_NOTE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.\n\n'


async def test_setup_line_by_line(session: Session) -> None:
    draft = session.draft
    for name, issued in (("partner.com", issue("partner.com")), ("mail.example.com", mail_leaf())):
        material = KeyMaterial(certificate=issued.pem, private_key=draft.seal(issued.key_pem.encode()))
        draft.config = draft.config.with_(certificates=draft.config.certificates.put(CertificateProfile(name=name, material=material)))
    screen = (await run_dialog(COMMAND, session, ["setup", "1", "", "1", ""])).split(f"{FIRST_MENU}setup\n\n")[1]
    assert screen == SETUP.format("1", "LDAP will determine the interface automatically.", "", DEMO_NOTE, "3", "1") + f"{FIRST_MENU}\n"
    assert (draft.config.ldap.interface, draft.config.ldap.certificate) == ("Auto", "mail.example.com")
    screen = (await run_dialog(COMMAND, session, ["setup", "management", "y", "PARTNER.com", ""])).split(f"{FIRST_MENU}setup\n\n")[1]
    assert screen == SETUP.format("management", "LDAP will use interface Management.", "y", "", "1", "PARTNER.com") + f"{FIRST_MENU}\n"
    ldap = draft.config.ldap
    assert (ldap.interface, ldap.certificate, ldap.validate_server_certificate) == ("Management", "partner.com", True)


async def test_ctrl_c_in_setup_stores_nothing(session: Session) -> None:
    await run_dialog(COMMAND, session, ["setup", "2", "y", CTRL_C])
    assert not session.draft.changed
