"""ldapconfig as command lines: the operations of the dialog, without a question and without a word (ldapconfig.md 4)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.certificates import CertificateProfile, KeyMaterial
from appliance_state.model.ldap import LdapAuth, LdapServer, LdapServerType
from appliance_state.names import HOSTNAME_RULES
from commands.arguments import Arguments, split_line
from commands.dialog import Conversation
from commands.ldapconfig import COMMAND
from tests.support.lab_ca import mail_leaf
from tests.support.terminal import ScriptedTerminal, run_batch

BASE = "dc=example,dc=com"
NEW = "new A --hostname=a.test"
AD = LdapServerType.ACTIVE_DIRECTORY


async def done(session: Session, *lines: str) -> None:
    """Lines that must succeed without a word."""
    for line in lines:
        assert await run_batch(COMMAND, session, f"ldapconfig {line}") == ("", False), line


async def refused(session: Session, line: str) -> str:
    """A line that must fail and change nothing; what it says."""
    before = session.draft.config
    output, failed = await run_batch(COMMAND, session, f"ldapconfig {line}")
    assert failed and session.draft.config is before
    return output


def server(session: Session, name: str = "A") -> LdapServer:
    return session.draft.config.ldap.servers[name]


def passphrase(session: Session, name: str = "A") -> bytes | None:
    ref = server(session, name).bind_passphrase
    return None if ref is None else session.draft.reveal(ref)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {}),
        ("--ssl=yes", {"use_ssl": True, "port": 636}),
        ("--ssl=yes --type=ad", {"use_ssl": True, "port": 3269, "server_type": AD}),
        ("--type=AD", {"port": 3268, "server_type": AD}),
        ("--type=openldap --port=1389 --base=o=x", {"port": 1389, "server_type": LdapServerType.OPENLDAP, "base": "o=x"}),
        ("--type=unknown --base=", {"base": ""}),
        ("--auth=anonymous", {}),
        ("--auth=password --passphrase=p", {"auth_type": LdapAuth.PASSWORD, "bind_user": "cn=Anonymous"}),
        ("--passphrase p --user cn=esa,dc=x", {"auth_type": LdapAuth.PASSWORD, "bind_user": "cn=esa,dc=x"}),
        (
            "--user=a@b.test --passphrase=p --type=ad",
            {"auth_type": LdapAuth.PASSWORD, "bind_user": "a@b.test", "server_type": AD, "port": 3268},
        ),
    ],
)
async def test_new(session: Session, options: str, expected: dict[str, Any]) -> None:
    await done(session, f"{NEW} {options}")
    assert passphrase(session) == (b"p" if "passphrase" in options else None)
    plain = LdapServer(name="A", hostnames=("a.test",), base=BASE)
    assert evolve(server(session), bind_passphrase=None) == evolve(plain, **expected)


async def test_several_hosts(session: Session) -> None:
    await done(session, 'new A "--hostname=a.test, 192.0.2.1"', "new B --hostname=b.test,2001:db8::1 --ssl=y")
    rows = "1. A: (a.test:389, 192.0.2.1:389)\n2. B: (b.test:636, [2001:db8::1]:636)\n"
    assert await run_batch(COMMAND, session, "ldapconfig list") == (rows, False)


async def test_the_list_of_none(session: Session) -> None:
    assert await run_batch(COMMAND, session, "ldapconfig list") == ("No LDAP server configurations.\n", False)


async def test_edit_changes_what_is_given(session: Session) -> None:
    await done(session, f"{NEW} --type=openldap --user=cn=esa --passphrase=old --base=o=x")
    old = server(session)
    await done(session, "edit a --ssl=yes")
    assert server(session) == evolve(old, use_ssl=True, port=636)
    await done(session, "edit A --ssl=no --port=1389", "edit A --ssl=yes", "edit A --name=B --hostname=b.test")
    assert server(session, "B") == evolve(old, name="B", hostnames=("b.test",), use_ssl=True, port=1389)
    assert passphrase(session, "B") == b"old"
    await done(session, "edit B --passphrase=new --type=unknown --base=")
    assert passphrase(session, "B") == b"new" and server(session, "B").base == ""
    await done(session, "edit B --type=openldap")
    assert server(session, "B").base == BASE
    await done(session, "edit B --auth=anonymous")
    assert (server(session, "B").bind_user, passphrase(session, "B")) == ("", None)


async def test_a_passphrase_from_standard_input(session: Session) -> None:
    terminal = ScriptedTerminal([" two words; "])
    (line,) = split_line(f"ldapconfig {NEW} --passphrase=-")
    assert COMMAND.batch is not None
    await COMMAND.batch(Conversation(terminal), session, Arguments(list(line.arguments)))
    assert passphrase(session) == b" two words; " and terminal.screen.strip() == ""


async def test_delete(session: Session) -> None:
    await done(session, NEW, "new B --hostname=b.test", "delete b")
    assert list(session.draft.config.ldap.servers) == ["A"]


async def test_setup(session: Session) -> None:
    draft = session.draft
    material = KeyMaterial(certificate=mail_leaf().pem, private_key=draft.seal(mail_leaf().key_pem.encode()))
    keyless = KeyMaterial(certificate=mail_leaf().pem)
    profiles = (CertificateProfile(name="mail", material=material), CertificateProfile(name="keyless", material=keyless))
    draft.config = draft.config.with_(certificates=draft.config.certificates.put(*profiles))
    await done(session, "setup --interface=management --certificate=MAIL --validate=yes")
    ldap = draft.config.ldap
    assert (ldap.interface, ldap.certificate, ldap.validate_server_certificate) == ("Management", "mail", True)
    await done(session, "setup --validate=no", "setup --interface=auto")
    assert draft.config.ldap == evolve(ldap, interface="Auto", validate_server_certificate=False)
    await done(session, "setup --certificate=demo", "setup")
    assert draft.config.ldap.certificate == "Demo"
    assert await refused(session, "setup --certificate=keyless") == "The value must be an integer from 1 to 2.\n"


def syntax(reason: str, token: str | None = None) -> str:
    return f"Invalid arguments when processing ldapconfig:\n{reason}" + ("" if token is None else f"\n: '{token}'")


DN_RULE = "The value must be a distinguished name. (Ex: dc=example,dc=com)"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("nosuch", syntax("Unknown operation.", "nosuch")),
        ("new", syntax("Missing argument: <name>.")),
        ("new A", syntax("Missing argument: <hostname>.")),
        (f"{NEW} more", syntax("Too many arguments.", "more")),
        (f"{NEW} --starttls=yes", syntax("Unknown option.", "--starttls=yes")),
        (f"{NEW} --name=B", syntax("Unknown option.", "--name=B")),
        (f"{NEW} --auth=anonymous --user=cn=x", syntax("Unknown option.", "--user")),
        (f"{NEW} --auth=1 --passphrase=s3cr3t", syntax("Unknown option.", "--passphrase")),
        (f"{NEW} --auth=password", syntax("Missing argument: <passphrase>.")),
        (f"{NEW} --passphrase=-", syntax("Missing argument: <passphrase>.")),
        (f"{NEW} --user=cn=x", syntax("Missing argument: <passphrase>.")),
        (f"{NEW} --passphrase=", "The value cannot be blank."),
        ("new A --hostname=", "The value cannot be blank."),
        ("new a.b --hostname=a.test", "The name may contain letters, numbers, underscores and hyphens."),
        ("new old --hostname=a.test", 'A server configuration named "Old" already exists.'),
        ("new A --hostname=a", f"The LDAP Server Hostname should be the hostname or IP address of the LDAP server.\n{HOSTNAME_RULES}"),
        (f"{NEW} --port=65536", "The LDAP Server Port should be an integer from 1 to 65535."),
        (f"{NEW} --ssl=maybe", "Please answer Yes or No."),
        (f"{NEW} --auth=kerberos", "The value must be an integer from 1 to 2."),
        (f"{NEW} --type=novell", "The value must be an integer from 1 to 3."),
        (f"{NEW} --base=example", DN_RULE),
        (f"{NEW} --type=ad --base=", DN_RULE),
        (f"{NEW} --user=a@b.test --passphrase=s3cr3t", DN_RULE),
        ("edit X --port=1", 'There is no server configuration named "X".'),
        ("edit Old --passphrase=x --auth=anonymous", syntax("Unknown option.", "--passphrase")),
        ("edit Old --type=openldap", DN_RULE),
        ("edit Old --port=", "The value cannot be blank."),
        ("delete X", 'There is no server configuration named "X".'),
        ("delete", syntax("Missing argument: <name>.")),
        ("list x", syntax("Too many arguments.", "x")),
        ("setup x", syntax("Too many arguments.", "x")),
        ("setup --group=yes", syntax("Unknown option.", "--group=yes")),
        ("setup --interface=eth0", 'There is no interface named "eth0".'),
        ("setup --certificate=none", 'There is no certificate profile named "none".'),
        ("setup --validate=maybe", "Please answer Yes or No."),
        ("setup --validate=", "The value cannot be blank."),
    ],
)
async def test_errors(session: Session, line: str, text: str) -> None:
    await done(session, "new Old --hostname=o.test --type=ad --user=a@b.test --passphrase=s3cr3t")
    output = await refused(session, line)
    assert output.strip("\n") == text
    assert "s3cr3t" not in output
