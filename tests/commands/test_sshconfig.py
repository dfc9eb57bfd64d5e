"""sshconfig USERKEY: dialog, accepted keys, batch (users-and-access.md 5)."""

from __future__ import annotations

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance_runtime.sessions import Session
from appliance_state.model.users import User
from commands import sshconfig
from commands.dialog import Rejected
from tests.support.appliance import make_session
from tests.support.terminal import run_batch, run_dialog

MENU = """\
Choose the operation you want to perform:
- NEW - Add a new key.
"""
MENU_WITH_KEYS = f"{MENU}- DELETE - Remove an existing key.\n- PRINT - Display a key.\n- USER - Switch to a different user to edit.\n"
MENU_WITHOUT = f"{MENU}- USER - Switch to a different user to edit.\n"
TOP = "\nChoose the operation you want to perform:\n- USERKEY - Edit SSH User Key settings\n[]> "


def key_line(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, comment: str = "ops@example.com") -> str:
    return f"{key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}".strip()


ED25519 = key_line(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = key_line(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1"), "other key")
SK = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdopAAAABHNzaDo= token"


def keys_of(session: Session, user: str = "admin") -> set[str]:
    return set(session.draft.config.users[user].authorized_keys)


def short(line: str) -> str:
    _, blob, comment = line.split(None, 2)
    return f"ssh-ed25519 {blob[:20]}...{blob[-7:]} ({comment})"


async def test_dialog() -> None:
    session = make_session()
    shown = await run_dialog(sshconfig.COMMAND, session, ["userkey", "new", ED25519, "", "print", "1", "delete", "1", "", ""])
    assert shown == (
        f"{TOP[1:]}userkey\n\n"
        f"Currently installed keys for admin:\n\n{MENU_WITHOUT}[]> new\n\n"
        f"Please enter the public SSH key for authorization.\nPress enter on a blank line to finish.\n{ED25519}\n\n\n"
        f"Currently installed keys for admin:\n1. {short(ED25519)}\n\n{MENU_WITH_KEYS}[]> print\n\n"
        f"Enter the number of the key you wish to print.\n[]> 1\n\n{ED25519}\n\n"
        f"Currently installed keys for admin:\n1. {short(ED25519)}\n\n{MENU_WITH_KEYS}[]> delete\n\n"
        f"Enter the number of the key you wish to delete.\n[]> 1\n\n"
        f"Currently installed keys for admin:\n\n{MENU_WITHOUT}[]> \n{TOP}\n"
    )
    assert not session.draft.changed


async def test_a_key_broken_into_lines_is_joined() -> None:
    session = make_session()
    await run_dialog(sshconfig.COMMAND, session, ["userkey", "new", ED25519[:40], ED25519[40:70], ED25519[70:], "", "", ""])
    assert keys_of(session) == {ED25519}


async def test_a_bad_key_is_asked_again_and_nothing_ends_it() -> None:
    session = make_session()
    shown = await run_dialog(sshconfig.COMMAND, session, ["userkey", "new", "nonsense", "", "", "", ""])
    assert "nonsense\n\nThat value is not a valid public key.\n\nPlease enter the public SSH key" in shown
    assert not session.draft.changed


async def test_another_user() -> None:
    session = make_session()
    session.appliance.config = session.draft.config.with_(users=session.draft.config.users.put(User(name="bob")))  # type: ignore[attr-defined]
    shown = await run_dialog(sshconfig.COMMAND, session, ["userkey", "user", "nobody", "bob", "new", ED25519, "", "", ""])
    assert 'The user "nobody" does not exist.\n' in shown
    assert "Currently installed keys for bob:\n1. " in shown
    assert (keys_of(session, "bob"), keys_of(session)) == ({ED25519}, set())


@pytest.mark.parametrize(
    "line",
    [
        ED25519,
        ED25519.rsplit(" ", 1)[0],
        SK,
        key_line(ec.generate_private_key(ec.SECP256R1())),
        key_line(ec.generate_private_key(ec.SECP384R1())),
        key_line(ec.generate_private_key(ec.SECP521R1())),
        key_line(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_accepted_keys(line: str) -> None:
    assert sshconfig.parse_key(line).line == line
    assert sshconfig.split_key(line).line == line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", sshconfig.NOT_A_KEY),
        ("ssh-ed25519", sshconfig.NOT_A_KEY),
        ("ssh-ed25519 AAAA", sshconfig.NOT_A_KEY),
        ("ssh-ed25519 äöü", sshconfig.NOT_A_KEY),
        (f'command="x" {ED25519}', sshconfig.NOT_A_KEY),
        (ED25519.replace("ssh-ed25519", "ssh-dss", 1), sshconfig.NOT_A_KEY),
        (ED25519.replace("ssh-ed25519", "ssh-rsa", 1), sshconfig.NOT_A_KEY),
        (key_line(rsa.generate_private_key(65537, 1024)), sshconfig.WEAK),
    ],
)
def test_refused_keys(text: str, problem: str) -> None:
    with pytest.raises(Rejected, match="^" + problem.replace(".", "\\.") + "$"):
        sshconfig.parse_key(text)


async def test_batch() -> None:
    session = make_session()
    assert await run_batch(sshconfig.COMMAND, session, f'sshconfig userkey new admin "{OTHER}"') == ("", False)
    assert await run_batch(sshconfig.COMMAND, session, f'sshconfig userkey new admin "{ED25519}"') == ("", False)
    assert await run_batch(sshconfig.COMMAND, session, "sshconfig userkey print admin") == (f"{ED25519}\n{OTHER}\n", False)
    assert await run_batch(sshconfig.COMMAND, session, f'sshconfig userkey new admin "{ED25519}"') == (f"{sshconfig.INSTALLED}\n", True)
    assert await run_batch(sshconfig.COMMAND, session, 'sshconfig userkey delete admin "other key"') == ("", False)
    assert await run_batch(sshconfig.COMMAND, session, "sshconfig userkey delete admin 2") == ('There is no key "2".\n', True)
    assert await run_batch(sshconfig.COMMAND, session, "sshconfig userkey delete admin 1") == ("", False)
    assert keys_of(session) == set()
    assert await run_batch(sshconfig.COMMAND, session, "sshconfig userkey new bob x") == ('The user "bob" does not exist.\n', True)


def test_a_short_key_is_shown_whole() -> None:
    assert attrs.evolve(sshconfig.PublicKey("ssh-ed25519", "A" * 27), comment="c").row == f"ssh-ed25519 {'A' * 27} (c)"
