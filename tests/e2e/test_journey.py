"""The journey that the appliance exists for, typed as dialogs: certificates, interface, listener, destinations, alerts, one commit, real mail.

Four ways in, the same answers: a pipe, `-c` with the commands on one line, SSH with a pseudo-terminal, `ssh host "a; b"`.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import DOMAIN, Authority, openssl
from tests.support.operator import Operator, operator
from tests.support.postfix import Postfix, postfix
from tests.support.served import PROGRAM, Program, command, environment, serving, wait
from tests.support.ssh import client_options

pytestmark = pytest.mark.e2e

PARTNER, STRANGER = "192.0.2.25", "192.0.2.26"
UNTRUSTED = "untrusted.test"
COMMANDS = (
    "certconfig", "interfaceconfig", "listenerconfig", "destconfig", "smtproutes", "alertconfig", "print all", "showchanges", "commit",
)  # fmt: skip
WAYS = ("pipe", "line", "ssh with a terminal", "ssh with a line")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """Postfix for untrusted.test with a certificate that nobody has signed."""
    folder = tmp_path_factory.mktemp("stranger")
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        "-days", "30", "-subj", f"/CN={UNTRUSTED}", "-addext", f"subjectAltName=DNS:{UNTRUSTED}",
    )  # fmt: skip
    with postfix(UNTRUSTED, folder / "cert.pem", folder / "key.pem") as server:
        yield server


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """A key that `admin` logs in with."""
    path = tmp_path / "login"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def program(tmp_path: Path, login: Path, partner: Postfix, stranger: Postfix) -> Iterator[Program]:
    words = ("--map", f"{PARTNER}:25=127.0.0.1:{partner.port}", "--map", f"{STRANGER}:25=127.0.0.1:{stranger.port}")
    with serving(tmp_path / "state", "--map", "auto", *words, "--dns", "127.0.0.1:1") as running:
        key = login.with_suffix(".pub").read_text().strip()
        done = running.batch(f'sshconfig userkey new admin "{key}"; commit "a key" Y')
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        yield running


@contextmanager
def sitting_at(program: Program, way: str, login: Path) -> Iterator[Operator]:
    """An operator who has got in. `line` ways: all commands are given at once, only the answers are typed."""
    host, port = program.socket("ssh", "Management")
    ssh_command = ["ssh", *client_options(login), "-p", str(port)]
    words = {
        "pipe": [*PROGRAM, "--state", str(program.state)],
        "line": [*PROGRAM, "--state", str(program.state), "-c", "; ".join(COMMANDS)],
        "ssh with a terminal": [*ssh_command, "-tt", f"admin@{host}"],
        "ssh with a line": [*ssh_command, f"admin@{host}", "; ".join(COMMANDS)],
    }[way]
    with operator(words, environment(), terminal=way == "ssh with a terminal") as person:
        yield person


def copy_in(program: Program, login: Path, file: Path) -> None:
    """To /configuration, by scp."""
    host, port = program.socket("ssh", "Management")
    done = command("scp", "-O", *client_options(login), "-P", str(port), str(file), f"admin@{host}:/configuration/{file.name}")
    assert done.returncode == 0, done.stderr


def begin(person: Operator, name: str, way: str) -> None:
    if way in ("pipe", "ssh with a terminal"):
        person.answer(("mail.example.com> ", name))


def configure(person: Operator, way: str, authority: Authority, folder: Path) -> None:
    """All dialogs up to the answer to commit's last question."""
    begin(person, "certconfig", way)
    person.answer(
        ("CERTAUTHORITY - Manage", "CERTIFICATE"), ("NEW - Create a self-signed", "NEW"), ("1. Create a self-signed certificate and CSR", "1"),
        ("Enter a name for this certificate profile:", "mail"), ("Enter Common Name:", "mail.example.com"),
        ("Fully Qualified Domain Name(FQDN)\nformat ? [N]> ", "Y"), ("Enter Organization:", "Example KK"), ("Enter Organizational Unit:", "Mail"),
        ("Enter Locality or City:", "京都市"), ("Enter State or Province:", "Kyoto"), ("Enter Country", "jp"),
        ("Duration before expiration", "365"), ("Enter size of private key:", "2"), ("Do you want to view the CSR? [Y]> ", ""),
    )  # fmt: skip
    shown = person.see("-----END CERTIFICATE REQUEST-----")
    request, signed = folder / "mail.csr", folder / "mail.pem"
    request.write_text(shown[shown.index("-----BEGIN") : shown.index("REQUEST-----\n", shown.index("-----END")) + 13])
    assert "self-signature verify OK" in command("openssl", "req", "-verify", "-noout", "-in", str(request)).stderr
    authority.sign(request, signed)
    person.answer(("EDIT - Update certificate", "EDIT"), ("Select the certificate profile you wish to edit:", "mail"))
    person.answer(("Would you like to update the existing public certificate? [N]> ", "y"))
    person.paste("Paste public certificate in PEM format (end with '.'):", signed.read_text())
    person.answer(
        ("C=JP,ST=Kyoto,L=京都市,O=Example KK,OU=Mail,CN=mail.example.com\n", ""),  # no intermediate certificate
        ("(FQDN) format ? [N]> ", "y"),
        ("mail                 mail.example.com     Lab Root CA ", "PASTE"), ("Enter a name for this certificate profile:", "pages"),
    )  # fmt: skip
    certificate, key = authority.issue(folder, "pages.example.com")
    person.paste("Paste public certificate in PEM format (end with '.'):", certificate.read_text())
    person.see_unprompted("CN=pages.example.com")
    person.paste("Paste private key in PEM format (end with '.'):", key.read_text())
    person.answer(
        ("add an intermediate certificate? [N]> ", ""), ("(FQDN) format ? [N]> ", ""),
        ("pages                pages.example.com    Lab Root CA ", "IMPORT"), ("Enter a name for this certificate profile:", "spare"),
        ("to import:", "spare.p12"), ("(FQDN) format ? [N]> ", ""), ("Enter pass phrase for PKCS#12 file: ", "wrong"),
        ("Invalid passphrase or corrupt PKCS#12 file.", "IMPORT"), ("Enter a name for this certificate profile:", "spare"),
        ("to import:", "spare.p12"), ("(FQDN) format ? [N]> ", ""), ("Enter pass phrase for PKCS#12 file: ", "horse-staple"),
        ("spare                spare.example.com    Lab Root CA ", ""),
        ("CERTAUTHORITY - Manage", "CERTAUTHORITY"), ("CUSTOM - Manage", "CUSTOM"), ("IMPORT - Import the list", "IMPORT"),
        ("to import:", "root.pem"), ("(FQDN) format ? [N]> ", ""), ("Imported 1 custom certificates successfully", ""), ("CUSTOM - Manage", ""),
        ("CERTAUTHORITY - Manage", ""),
    )  # fmt: skip
    begin(person, "interfaceconfig", way)
    person.answer(
        ("NEW - Create a new interface.", "NEW"), ('IP interface name (Ex: "InternalNet"):', "PublicNet"), ("IPv4 address for this", "y"),
        ("IPv4 Address", "192.168.2.1"), ("Netmask", "255.255.255.0"), ("IPv6 address for this", ""), ("Ethernet interface:", ""),
        ("Hostname:", "mx.example.com"), ("enable SSH", ""), ("enable Cluster Communication Service", ""), ("enable HTTP on", ""),
        ("enable HTTPS on", "y"), ("port do you want to use for HTTPS?", ""), ("Please choose the certificate to apply:", "pages"),
        ("2. PublicNet (192.168.2.1/24 on Data 1: mx.example.com)", ""),
    )  # fmt: skip
    begin(person, "listenerconfig", way)
    person.answer(
        ("NEW - ", "NEW"), ("type of listener", "2"), ("create a name for this listener", "InboundMail"), ("choose an IP interface", "PublicNet"),
        ("Choose a protocol.", ""), ("TCP port", ""), ("you want to accept mail for", f"{DOMAIN}, {UNTRUSTED}"), ("enable rate limiting", ""),
        ("change the default host access policy? [N]> ", ""), ("Listener InboundMail created.", "EDIT"), ("wish to edit", "InboundMail"),
        ("CERTIFICATE - Choose the certificate.", "CERTIFICATE"), ("Please choose the certificate to apply:", "mail"),
        ("Certificate: mail", "HOSTACCESS"), ("DEFAULT", "DEFAULT"), ("maximum message size", ""), ("from a single IP address", ""),
        ("messages per connection", ""), ("recipients per message", ""), ("hostname in the SMTP banner", ""), ("acceptance response", ""),
        ("rejection response", ""), ("rate limiting per host", ""), ("similarity of their IP addresses", ""),
        ("Do you want to allow encrypted TLS connections?", "4"), ("The value must be an integer from 1 to 3.", "3"),
        ("You have chosen to enable TLS. Please use the 'certconfig' command to", ""),  # no client certificate
        ("Allow TLS Connections: Required", ""), ("TLS: Required", ""), ("1. InboundMail (on PublicNet, 192.168.2.1) SMTP TCP Port 25 Public", ""),
    )  # fmt: skip
    begin(person, "destconfig", way)
    person.answer(("SETUP - ", "SETUP"), ("Please choose the certificate to apply:", "mail"), ("required TLS connection fails? [N]> ", "y"))
    for domain in (DOMAIN, UNTRUSTED):
        person.answer(
            ("NEW - ", "NEW"), ("domain you wish to configure", domain), ("concurrency limit", "n"), ("messages-per-connection limit", ""),
            ("recipient limit", ""), ("specific TLS setting for this domain? [N]> ", "y"), ("5. Required - Verify\n", "5"),
        )  # fmt: skip
        if "DANE" in person.see("Do you wish to"):
            person.answer(("DANE", ""))
        person.answer(("bounce profile", ""), ("IP sort preference", ""))
    person.answer(("NEW - ", ""))
    begin(person, "smtproutes", way)
    for domain, address in ((DOMAIN, PARTNER), (UNTRUSTED, STRANGER)):
        person.answer(("NEW - ", "NEW"), ("permanent route", domain), ("to be delivered.", f"[{address}]"))
    person.answer((f"Mapping for {UNTRUSTED} to [{STRANGER}] created.", ""))
    begin(person, "alertconfig", way)
    person.answer(
        ("NEW - Add a new email address", "NEW"), ("Please enter a new email address", f"ops@{DOMAIN}"), ("Choose the Alert Classes.", ""),
        ("Select a Severity Level.", ""), (f"ops@{DOMAIN}", ""),
    )  # fmt: skip
    begin(person, "print all", way)
    begin(person, "showchanges", way)
    begin(person, "commit", way)
    person.see("enter some comments")


def swaks(program: Program, *words: str) -> tuple[int, str]:
    host, port = program.socket("smtp", "InboundMail")
    done = command("swaks", "--server", host, "--port", str(port), "--from", "sender@client.test", "--helo", "client.test", *words)
    return done.returncode, done.stdout + done.stderr


def peer_name(host: str, port: int, authority: Authority, *options: str) -> str:
    """Subject of the certificate of a server, which must verify."""
    words = ["openssl", "s_client", *options, "-connect", f"{host}:{port}", "-CAfile", str(authority.root), "-verify_return_error"]
    done = command(*words)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("subject="))


@pytest.mark.parametrize("way", WAYS)
def test_five_dialogs_one_commit_and_real_mail(
    way: str, program: Program, login: Path, authority: Authority, partner: Postfix, stranger: Postfix, tmp_path: Path
) -> None:
    certificate, key = authority.issue(tmp_path, "spare.example.com")
    bundle = tmp_path / "spare.p12"
    openssl("pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", bundle, "-passout", "pass:horse-staple")
    copy_in(program, login, bundle)
    copy_in(program, login, authority.root)
    generation = program.ready()["generation"]
    with sitting_at(program, way, login) as person:
        configure(person, way, authority, tmp_path)
        assert program.ready()["generation"] == generation
        with pytest.raises(StopIteration):
            program.socket("smtp", "InboundMail")
        person.answer(("enter some comments", "five dialogs"), ("for rollback? [Y]> ", ""))
        if way in ("pipe", "ssh with a terminal"):
            person.answer(("mail.example.com> ", "exit"))
        assert person.finish() == (0 if way == "ssh with a terminal" else 1), "two answers were refused"
    check_texts(person.shown, echoed=int(way == "ssh with a terminal"))
    check_mail(program, authority, partner, tmp_path)
    check_secrets(program, tmp_path)


def check_texts(shown: str, echoed: int) -> None:
    """What the operator read: pending state in print and showchanges, no secret anywhere."""
    assert "Certificate for outgoing TLS:                mail" in shown
    assert "TLS: Required" in shown
    assert "Class: All - Severities: All" in shown
    assert "Changes committed: " in shown
    assert shown.count("BEGIN PRIVATE KEY") == echoed, "nobody prints it; a terminal echoes what is typed"
    assert "horse-staple" not in shown


def check_mail(program: Program, authority: Authority, partner: Postfix, folder: Path) -> None:
    """The wire after the commit: certificates, refusal, delivery, a peer that is not trusted, pages."""
    smtp = program.socket("smtp", "InboundMail")
    assert "CN = mail.example.com" in peer_name(*smtp, authority, "-starttls", "smtp")
    assert "CN = pages.example.com" in peer_name(*program.socket("https", "PublicNet"), authority)
    context = ssl.create_default_context(cafile=str(authority.root))
    page = fetch(*program.socket("https", "PublicNet"), "pages.example.com", context)
    assert "HTTP/1.1 200" in page and "Login" in page

    status, output = swaks(program, "--to", f"joe@{DOMAIN}")
    assert status != 0
    assert "<** 530 #5.7.0 Must issue a STARTTLS command first" in output
    subject = f"journey {folder.name}"
    status, output = swaks(program, "--to", f"joe@{DOMAIN}", "--tls", "--header", f"Subject: {subject}")
    assert status == 0, output
    wait(lambda: f"Subject: {subject}" in partner.mail(), "the message at Postfix", seen=program.log)
    delivered = mail_with(partner.mail(), f"Subject: {subject}")
    assert "using TLSv1.3" in delivered and 'Client CN "mail.example.com"' in delivered
    log = program.wait_for("Message finished MID 1 done")
    assert "DCID 1 TLS success protocol TLSv1.3" in log
    assert f"DCID 1 TLS verify success: dNSName {DOMAIN} matches {DOMAIN} (destination domain)" in log

    status, output = swaks(program, "--to", f"joe@{UNTRUSTED}", "--tls")
    assert status == 0, output
    reason = f"verify error: self-signed certificate (CN={UNTRUSTED})"
    log = program.wait_for("Message 2 to RID [0] pending till ")
    assert f"DCID 2 TLS failed: {reason}" in log
    assert f"MID 2 to RID 0 - 4.7.5 - Cryptographic failure ('000', ['{reason}']) []" in log
    alert = f"Unable to deliver to the domain {UNTRUSTED}: a TLS connection is required but could not be established."
    log = program.wait_for(f"alert was sent to ops@{DOMAIN}")
    serial = log.partition("SN: ")[2].partition("\n")[0]
    alerts = [message for message in partner.mail().split("\nFrom ") if f"Serial Number: {serial}" in message]
    assert len(alerts) == 1 and alert in alerts[0], alerts
    rows = [row.split() for row in program.batch("status").stdout.splitlines()]
    assert ["Active", "Recipients", "1"] in rows, "the message to the untrusted peer is still queued"


def check_secrets(program: Program, folder: Path) -> None:
    """No key and no passphrase in any file of the appliance, log, queue and store included, nor in its command line."""
    secrets = [(folder / f"{name}.key").read_bytes().splitlines()[5] for name in ("pages.example.com", "spare.example.com")]
    secrets += [b"horse-staple", b"correct-horse-battery", b"PRIVATE KEY"]
    files = [path for path in program.state.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in [*files, Path(f"/proc/{program.process.pid}/cmdline")]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path


def mail_with(mailbox: str, text: str) -> str:
    """The message of an mbox file that holds `text`."""
    return next(message for message in mailbox.split("\nFrom ") if text in message)


def fetch(host: str, port: int, name: str, context: ssl.SSLContext) -> str:
    """The login page as raw HTTP; the certificate must be for `name`."""
    with socket.create_connection((host, port), 10) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
        secure.sendall(f"GET /login HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: secure.recv(65536), b"")).decode()
