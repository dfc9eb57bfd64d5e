"""From the command line to the wire and back: commands typed at the program, mail by swaks, a real Postfix behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import DOMAIN
from tests.support.postfix import Postfix, free_port
from tests.support.served import Program, command, serving, wait

pytestmark = pytest.mark.e2e

PARTNER, UNENCRYPTED = "192.0.2.25", "192.0.2.26"


@pytest.fixture
def program(tmp_path: Path, partner: Postfix) -> Iterator[Program]:
    rules = (f"{PARTNER}:25=127.0.0.1:{partner.port}", f"{UNENCRYPTED}:25=127.0.0.1:{free_port()}")
    with serving(
        tmp_path / "state", "--map", "auto", *(word for rule in rules for word in ("--map", rule)), "--dns", "127.0.0.1:1"
    ) as running:
        yield running


def swaks(program: Program, *words: str) -> tuple[int, str]:
    host, port = program.socket("smtp", "InboundMail")
    done = command("swaks", "--server", host, "--port", str(port), "--from", "sender@client.test", "--helo", "client.test", *words)
    return done.returncode, done.stdout + done.stderr


def committed(program: Program, line: str) -> None:
    done = program.batch(f'{line}; commit "test" Y')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_required_listener_and_an_encrypted_delivery(program: Program, partner: Postfix) -> None:
    committed(
        program,
        f"listenerconfig new InboundMail public Management smtp --accept={DOMAIN},plain.test; "
        "listenerconfig edit InboundMail hostaccess default --tls=required; "
        f"destconfig new {DOMAIN} --tls=required; smtproutes new {DOMAIN} [{PARTNER}]",
    )
    status, output = swaks(program, "--to", f"joe@{DOMAIN}")
    assert status != 0
    assert "530 #5.7.0 Must issue a STARTTLS command first" in output
    status, output = swaks(program, "--to", f"joe@{DOMAIN}", "--tls", "--header", "Subject: over TLS")
    assert status == 0, output
    wait(lambda: "Subject: over TLS" in partner.mail(), "the message at Postfix", seen=program.log)
    log = program.wait_for("Message finished MID 1 done")
    assert "TLS was required but remote host did not initiate it" in log
    assert "DCID 1 TLS success protocol TLSv1.3" in log
    assert "ESMTPS" in partner.mail()
    status, output = swaks(program, "--to", "joe@elsewhere.test", "--tls")
    assert status != 0
    assert "550 #5.1.0 Address rejected." in output


def test_what_the_running_appliance_does_changes_with_commit_only(program: Program) -> None:
    committed(program, "listenerconfig new InboundMail public Management smtp --accept=plain.test")
    assert program.batch("listenerconfig edit InboundMail hostaccess default --tls=preferred").returncode == 0
    assert "STARTTLS" not in swaks(program, "--quit-after", "EHLO")[1]
    committed(program, "listenerconfig edit InboundMail hostaccess default --tls=preferred")
    assert "STARTTLS" in swaks(program, "--quit-after", "EHLO")[1]
    host, port = program.socket("smtp", "InboundMail")
    shown = command("openssl", "s_client", "-starttls", "smtp", "-connect", f"{host}:{port}")
    assert "CN = Cisco Appliance Demo Certificate" in shown.stdout


def test_a_peer_that_cannot_be_reached_keeps_the_mail_over_a_crash(program: Program) -> None:
    committed(
        program, f"listenerconfig new InboundMail public Management smtp --accept=plain.test; smtproutes new plain.test [{UNENCRYPTED}]"
    )
    assert swaks(program, "--to", "joe@plain.test")[0] == 0
    program.wait_for("Delayed: DCID 1 MID 1 to RID 0 - 4.4.0 - Other network problem ('000', ['[Errno 111] Connection refused']) []")
    program.kill()
    with serving(program.state, *program.arguments) as again:
        rows = again.batch("status").stdout.splitlines()
        assert any(row.split() == ["Active", "Recipients", "1"] for row in rows), rows
        assert "InboundMail" in again.batch("listenerconfig list").stdout


def test_no_key_and_no_passphrase_lies_open_in_the_state_directory(program: Program) -> None:
    committed(program, "certconfig certificate new mail --cn=mail.example.com --o=O --ou=U --l=L --st=S --c=JP")
    files = [path for path in program.state.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert b"PRIVATE KEY" not in content, path
        assert b"correct-horse-battery" not in content, path
