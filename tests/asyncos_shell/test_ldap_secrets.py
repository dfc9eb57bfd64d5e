"""The bind passphrase of an LDAP server is nowhere but sealed (ldapconfig.md 6.10), and what `commit` says about LDAP."""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import evolve

from asyncos_shell.shell import Shell
from commands.catalog import catalog
from tests.support.live import Place, live
from tests.support.wire import make_terminal, person, soon, until

SECRETS = ("s3cr3t-of-new", "s3cr3t-of-edit", "s3cr3t-typed", "s3cr3t-refused")


async def run(place: Place, line: str, typed: str = "") -> tuple[str, int]:
    """A line as by exec, with `typed` on its standard input."""
    terminal, wire = make_terminal()
    session = place.appliance.open_session(user="admin", kind="exec", remote="192.0.2.9")
    try:
        terminal.received(typed.encode())
        terminal.ended()
        status = await soon(Shell(session, terminal, catalog(), line=line).run())
    finally:
        place.appliance.close_session(session)
    return wire.sent.decode(), status


def files_below(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_a_passphrase_is_nowhere(tmp_path: Path) -> None:
    new, edit, typed, refused = SECRETS
    async with live(tmp_path) as place:
        shown, status = await run(
            place, f'ldapconfig new A --hostname=a.example.com --passphrase={new}; showchanges; print changes --json; commit "x" Y'
        )
        assert status == 0 and "bind_passphrase: (set)" in shown
        line = f'ldapconfig edit A --passphrase "{edit}"; showchanges; print changes --json; commit "x" Y'
        changed, status = await run(place, line)
        assert status == 0 and "bind_passphrase: (changed)" in changed
        wrong, status = await run(place, f"ldapconfig new B --hostname=b --passphrase='{refused}'")
        assert status == 1
        piped, status = await run(place, 'ldapconfig edit A --passphrase=-; commit "x" Y', f"{typed}\n")
        assert (piped.strip(), status) == ("", 0)
        listed, _ = await run(place, "ldapconfig list; rollbackconfig; print changes")
        server = place.appliance.running()[1].ldap.servers["A"]
        assert server.bind_passphrase is not None and place.appliance.vault.reveal(server.bind_passphrase) == typed.encode()
        seen = "".join([shown, changed, wrong, piped, listed, *place.lines("cli_logs"), *place.lines("system_logs")])
        assert "--passphrase=****" in seen and not any(secret in seen for secret in SECRETS)
    contents = files_below(tmp_path)
    assert len(contents) > 5
    assert not [path for path, content in contents.items() for secret in SECRETS if secret.encode() in content]


async def test_a_passphrase_is_not_echoed(tmp_path: Path) -> None:
    """Typed at a terminal; Ctrl-C afterwards stores nothing."""
    async with live(tmp_path) as place:
        terminal, wire = person()
        session = place.appliance.open_session(user="admin", kind="cli", remote="192.0.2.9")
        running = asyncio.ensure_future(Shell(session, terminal, catalog(), line="ldapconfig").run())
        for prompt, text in (
            ("[]> ", "new"),
            ('(Ex: "PublicLDAP"):\r\n[]> ', "A"),
            ("commas.\r\n[]> ", "a.example.com"),
            ("[N]> ", ""),
            ("[1]> ", "2"),
            ("[cn=Anonymous]> ", ""),
            ("bind passphrase:\r\n[]> ", "s3cr3t"),
            ("passphrase again:\r\n[]> ", "s3cr3t"),
        ):
            await until(lambda prompt=prompt: wire.sent.decode().endswith(prompt))  # type: ignore[misc]
            terminal.received(f"{text}\r".encode())
        await until(lambda: wire.sent.decode().endswith("[3]> "))
        terminal.received(b"\x03")
        await soon(running)
        shown = wire.sent.decode()
        assert shown.endswith("[3]> ^C\r\n-- Changes not recorded\r\n") and "s3cr3t" not in shown and "*" not in shown
        assert not session.draft.changed and not session.draft.secrets
        place.appliance.close_session(session)


async def test_commit_refuses_what_ldap_cannot_use(tmp_path: Path) -> None:
    """As a loaded configuration could bring it."""
    async with live(tmp_path) as place:
        admin = place.person()
        ldap = admin.session.draft.config.ldap
        for fields, text in (
            ({"certificate": "gone"}, 'The LDAP settings use the certificate "gone", which does not exist.'),
            ({"interface": "Gone"}, 'The LDAP settings use the interface "Gone", which does not exist.'),
        ):
            admin.session.draft.config = admin.session.draft.config.with_(ldap=evolve(ldap, **fields))
            output, failed = await admin.batch('commit "x" Y')
            assert failed and f"Error: {text}\n" in output
        assert place.appliance.running()[1].ldap == ldap


async def test_a_profile_that_ldap_uses_is_not_deleted(tmp_path: Path) -> None:
    async with live(tmp_path) as place:
        admin = place.person()
        await admin.done(
            "certconfig certificate new mail --cn=mail.example.com --o=O --ou=U --l=L --st=S --c=JP",
            "ldapconfig setup --certificate=mail",
        )
        output, failed = await admin.batch("certconfig certificate delete mail")
        assert failed and output.startswith('The certificate "mail" is in use by: LDAPS.\n')
