"""listenerconfig: command lines, host access excepted (listenerconfig.md 10)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.listeners import (
    Access,
    CleanSmtp,
    DomainMapping,
    Listener,
    ListenerGlobals,
    ListenerType,
    MasqueradedField,
    Masquerading,
    RatEntry,
    new_listener,
)
from appliance_state.names import DOMAIN_RULES
from commands.listenerconfig import COMMAND
from commands.listenerconfig.listings import NO_LISTENERS
from tests.support.terminal import run_batch

Inbound = Callable[[], Listener]
SYNTAX = "Invalid arguments when processing listenerconfig:\n"


async def done(session: Session, line: str) -> None:
    """Run a line that succeeds and prints nothing."""
    assert await run_batch(COMMAND, session, f"listenerconfig {line}") == ("", False)


async def test_new_public(session: Session) -> None:
    line = "new Front public publicnet smtp --port=2526 --accept=a.test,.b.test --max_rcpts_per_hour=100 --certificate=PARTNER.com"
    await done(session, line)
    made = session.draft.config.listeners["Front"]
    expected = new_listener(
        name="Front", uid=made.uid, kind=ListenerType.PUBLIC, interface="PublicNet", port=2526, accept=("a.test", ".b.test")
    )
    assert made.uid
    assert made == evolve(expected, hat_default=evolve(expected.hat_default, max_rcpts_per_hour=100), tls_certificate="partner.com")


async def test_new_private_and_blackhole(session: Session) -> None:
    await done(session, "new Relay Private Management SMTP --port=2527 --relay=10.0.0.0/8,.a.test")
    await done(session, 'new Sink BLACKHOLE "Management" smtp --port 2528 --certificate=demo')
    relay, sink = session.draft.config.listeners["Relay"], session.draft.config.listeners["Sink"]
    assert [sender.source for sender in relay.hat_sender_groups[0].senders] == ["10.0.0.0/8", ".a.test"]
    assert (sink.type, sink.port, sink.tls_certificate) == (ListenerType.BLACKHOLE, 2528, "Demo")


async def test_list_and_show(session: Session, empty_session: Session) -> None:
    assert await run_batch(COMMAND, session, "listenerconfig list") == (
        """\
1. BlackHole (on Management, 192.168.42.42) SMTP TCP Port 2525 Blackhole
2. InboundMail (on PublicNet, 192.168.2.1) SMTP TCP Port 25 Public
3. OutboundMail (on Management, 192.168.42.42) SMTP TCP Port 25 Private
""",
        False,
    )
    assert await run_batch(COMMAND, empty_session, "listenerconfig list") == (f"{NO_LISTENERS}\n", False)
    output, failed = await run_batch(COMMAND, session, "listenerconfig edit inboundmail show")
    assert output.startswith("Name: InboundMail\nType: Public\n")
    assert output.count("\n") == 10
    assert not failed


async def test_edit(session: Session, inbound: Inbound) -> None:
    await done(session, "edit InboundMail interface management 2526")
    await done(session, "edit InboundMail certificate mail.example.com")
    await done(session, "edit InboundMail limits 500 20")
    await done(session, "edit InboundMail setup --default_domain=Example.com --received=no --cleansmtp=Reject")
    changed = inbound()
    assert (changed.interface, changed.port, changed.tls_certificate) == ("Management", 2526, "mail.example.com")
    assert (changed.max_concurrency, changed.listen_queue_size) == (500, 20)
    assert (changed.default_domain, changed.add_received_header, changed.clean_smtp) == ("example.com", False, CleanSmtp.REJECT)
    await done(session, "edit InboundMail setup --default_domain=NONE")
    assert inbound() == evolve(changed, default_domain=None)
    await done(session, "edit InboundMail name Front")
    assert session.draft.config.listeners["front"].uid == "l-1"


async def test_interface_keeps_the_port_that_is_not_given(session: Session) -> None:
    await done(session, "edit BlackHole interface publicnet")
    assert session.draft.config.listeners["BlackHole"].port == 2525


async def test_delete(session: Session) -> None:
    await done(session, "delete inboundmail")
    assert "InboundMail" not in session.draft.config.listeners


async def test_setup(session: Session) -> None:
    await done(
        session,
        "setup --max_connections=10 --max_tls_connections=20 --max_header_lines=0 --counter_reset_period=2h --unsuccessful_timeout=90 "
        '--max_connection_time=1h30m --add_message_id=yes --hat_delayed_reject=y --hat_delayed_reject_code=551 --hat_delayed_reject_text="Go."',
    )
    assert session.draft.config.listener_globals == ListenerGlobals(
        max_connections=10,
        max_tls_connections=20,
        max_header_lines=0,
        counter_reset_period=7200,
        unsuccessful_timeout=90,
        max_connection_time=5400,
        add_message_id=True,
        hat_delayed_reject=True,
        hat_delayed_reject_code=551,
        hat_delayed_reject_text="Go.",
    )
    await done(session, "setup --hat_delayed_reject=no --hat_delayed_reject_text=")
    assert session.draft.config.listener_globals.hat_delayed_reject_text is None


# -- RCPTACCESS -----------------------------------------------------------------------------------------------------


async def test_recipient_access(session: Session, inbound: Inbound) -> None:
    rat = "edit InboundMail rcptaccess"
    await done(session, f'{rat} new postmaster@example.com,joe@ --cust_resp="we are here" --bypass_rc=yes')
    await done(session, f"{rat} new bad.test --action=reject --resp_code=551 --order=1")
    await done(session, f"{rat} edit EXAMPLE.com --order=4")
    await done(session, f"{rat} edit all --action=accept")
    await done(session, f"{rat} delete joe@")
    assert inbound().rat == (
        RatEntry(address="bad.test", access=Access.REJECT, response_code=551),
        RatEntry(address="example.net"),
        RatEntry(address="postmaster@example.com", response_code=250, response_text="we are here", bypass_receiving_control=True),
        RatEntry(address="example.com"),
        RatEntry(address="ALL"),
    )
    assert await run_batch(COMMAND, session, f"listenerconfig {rat} PRINT") == (
        """\
bad.test REJECT (code=551)
example.net ACCEPT
postmaster@example.com ACCEPT (code=250, text="we are here", bypass=yes)
example.com ACCEPT
ALL ACCEPT
""",
        False,
    )
    await done(session, f"{rat} edit postmaster@example.com --cust_resp=")
    await done(session, f"{rat} edit postmaster@example.com --bypass_rc=no --order=1")
    assert inbound().rat[0] == RatEntry(address="postmaster@example.com")
    await done(session, f"{rat} clear reject")
    assert inbound().rat == (RatEntry(address="ALL", access=Access.REJECT),)


async def test_recipient_access_files(session: Session, inbound: Inbound, tmp_path: Path) -> None:
    before = inbound()
    await done(session, "edit InboundMail rcptaccess export in.rat")
    await done(session, "edit InboundMail rcptaccess clear accept")
    await done(session, "edit InboundMail rcptaccess import in.rat")
    assert inbound() == before
    assert (tmp_path / "in.rat").exists()


# -- DOMAINMAP ------------------------------------------------------------------------------------------------------


async def test_domain_map(session: Session, inbound: Inbound) -> None:
    mapping = "edit InboundMail domainmap"
    await done(session, f"{mapping} print")
    await done(session, f"{mapping} new @.old.test @new.test")
    await done(session, f"{mapping} new joe@old.test ann@new.test")
    output = "@.old.test --> @new.test\njoe@old.test --> ann@new.test\n"
    assert await run_batch(COMMAND, session, f"listenerconfig {mapping} print") == (output, False)
    await done(session, f"{mapping} export domains")
    await done(session, f"{mapping} delete @.old.test")
    assert inbound().domain_map == (DomainMapping(original="joe@old.test", new="ann@new.test"),)
    await done(session, f"{mapping} clear")
    assert inbound().domain_map == ()
    await done(session, f"{mapping} import domains")
    assert len(inbound().domain_map) == 2


# -- MASQUERADE, BOUNCECONFIG ---------------------------------------------------------------------------------------


async def test_masquerade(session: Session, inbound: Inbound) -> None:
    table = "edit InboundMail masquerade"
    await done(session, f"{table} print")
    await done(session, f"{table} new @.inside.test @example.com")
    await done(session, f"{table} new joe ann@example.com")
    output = "@.inside.test --> @example.com\njoe --> ann@example.com\n"
    assert await run_batch(COMMAND, session, f"listenerconfig {table} print") == (output, False)
    await done(session, f"{table} export masks")
    await done(session, f"{table} delete @.inside.test")
    assert inbound().masquerade == (Masquerading(original="joe", new="ann@example.com"),)
    await done(session, f"{table} clear")
    assert inbound().masquerade == ()
    await done(session, f"{table} import masks")
    assert len(inbound().masquerade) == 2
    await done(session, f"{table} config --envelope_sender=yes --cc=no")
    fields = MasqueradedField
    assert inbound().masquerade_headers == {fields.ENVELOPE_SENDER, fields.FROM, fields.TO}


async def test_bounce_profile(session: Session, inbound: Inbound) -> None:
    await done(session, "edit InboundMail bounceconfig default")
    assert inbound().bounce_profile == "Default"
    output = 'There is no bounce profile named "Nobody".\n'
    assert await run_batch(COMMAND, session, "listenerconfig edit InboundMail bounceconfig Nobody") == (output, True)


# -- errors ---------------------------------------------------------------------------------------------------------

ADDRESS_RULE = """\
A Recipient Access Table address can be one of the following:
Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed."""
NAME_RULE = "The listener name must start with a letter or underscore and may contain letters, numbers, underscores, hyphens and periods."
NEW = "new Front public Management smtp --port=2526"
RAT = "edit InboundMail rcptaccess"
MAP = "edit InboundMail domainmap"


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("frobnicate", f"{SYNTAX}Unknown operation.\n: 'frobnicate'"),
        ("new Front", f"{SYNTAX}Missing argument: <type>."),
        (NEW, f"{SYNTAX}Missing argument: <accept>."),
        ("new Front private Management smtp --port=2526", f"{SYNTAX}Missing argument: <relay>."),
        (f"{NEW} --accept=a.test --relay=10.0.0.1", f"{SYNTAX}Unknown option.\n: '--relay'"),
        ("new Front blackhole Management smtp --accept=a.test", f"{SYNTAX}Unknown option.\n: '--accept'"),
        (f"{NEW} extra --accept=a.test", f"{SYNTAX}Too many arguments.\n: 'extra'"),
        (f"{NEW} --qmqp=yes", f"{SYNTAX}Unknown option.\n: '--qmqp=yes'"),
        ("new Front blackholequeueing Management smtp", "Queueing blackhole listeners are not supported."),
        ("new Front open Management smtp --accept=a.test", "The value must be an integer from 1 to 3."),
        ("new Front public Management qmqp --accept=a.test", "The value must be an integer from 1 to 1."),
        ("new Front public Nowhere smtp --accept=a.test", 'There is no interface named "Nowhere".'),
        ("new 1 public Management smtp --accept=a.test", NAME_RULE),
        ("new inboundmail public Management smtp --accept=a.test", 'A listener named "InboundMail" already exists.'),
        (f"{NEW} --accept=localhost", ADDRESS_RULE),
        (f"{NEW} --accept=a.test --certificate=nosuch", 'There is no certificate profile named "nosuch".'),
        (f"{NEW} --accept=a.test --certificate=without-key", "The value must be an integer from 1 to 3."),
        (f"{NEW} --accept=a.test --max_rcpts_per_hour=0", "The value must be an integer from 1 to 1000000000."),
        (
            "new Front public Management smtp --accept=a.test",
            'Port 25 is already used by listener "OutboundMail" on this interface.',
        ),
        ("new Front public Management smtp --accept=a.test --port=22", "Port 22 is already used by SSH on this interface."),
        ("new Front public Management smtp --accept=a.test --port=0", "The value must be an integer from 1 to 65535."),
        ("delete Nowhere", 'There is no listener "Nowhere".'),
        ("edit Nowhere show", 'There is no listener "Nowhere".'),
        ("edit InboundMail", f"{SYNTAX}Missing argument: <operation>."),
        ("edit BlackHole bounceconfig Default", f"{SYNTAX}Unknown operation.\n: 'bounceconfig'"),
        ("edit OutboundMail rcptaccess print", f"{SYNTAX}Unknown operation.\n: 'rcptaccess'"),
        ("edit BlackHole domainmap print", f"{SYNTAX}Unknown operation.\n: 'domainmap'"),
        ("edit InboundMail name OutboundMail", 'A listener named "OutboundMail" already exists.'),
        ("edit InboundMail interface Nowhere", 'There is no interface named "Nowhere".'),
        ("edit InboundMail interface Management", 'Port 25 is already used by listener "OutboundMail" on this interface.'),
        ("edit InboundMail certificate nosuch", 'There is no certificate profile named "nosuch".'),
        ("edit InboundMail limits 0 50", "The value must be an integer from 1 to 10000."),
        ("edit InboundMail limits 10001 50", "The value must be an integer from 1 to 10000."),
        ("edit InboundMail limits 10 1025", "The value must be an integer from 1 to 1024."),
        ("edit InboundMail limits 10", f"{SYNTAX}Missing argument: <listen_queue_size>."),
        ("edit InboundMail setup --received=no --default_domain=x", DOMAIN_RULES),
        ("edit InboundMail setup --received=maybe", "Please answer Yes or No."),
        ("edit InboundMail setup --cleansmtp=perhaps", 'Invalid "cleansmtp" value: perhaps'),
        ("setup --max_connections=20 --max_tls_connections=10001", "The value must be an integer from 1 to 10000."),
        ("setup --counter_reset_period=1s", 'Enter a time such as "30s", "15m" or "1h", from 15m to 4h.'),
        ("setup --hat_delayed_reject_code=200", "The value must be an integer from 400 to 599."),
        ("setup --add_message_id=1", "Please answer Yes or No."),
        (f"{RAT} new localhost", ADDRESS_RULE),
        (f"{RAT} new example.com", 'The address "example.com" is already in the table.'),
        (f"{RAT} new a.test --action=maybe", 'Invalid "action" value: maybe'),
        (f"{RAT} new a.test --resp_code=300", 'Invalid "resp_code" value: 300'),
        (f"{RAT} new a.test --action=reject --resp_code=250", 'Invalid "resp_code" value: 250'),
        (f"{RAT} new a.test --bypass_rc=x", 'Invalid "bypass_rc" value: x'),
        (f"{RAT} new a.test --action=reject --bypass_rc=yes", 'Invalid "bypass_rc" value: yes'),
        (f"{RAT} new a.test --order=0", 'Invalid "order" value: 0'),
        (f"{RAT} new a.test --order=4", 'Invalid "order" value: 4'),
        (f"{RAT} edit example.com --order=3", 'Invalid "order" value: 3'),
        (f"{RAT} edit ALL --order=1", 'Invalid "order" value: 1'),
        (f"{RAT} edit nosuch", 'The address "nosuch" is not in the table.'),
        (f"{RAT} delete nosuch", 'The address "nosuch" is not in the table.'),
        (f"{RAT} delete all", 'The entry "ALL" cannot be deleted.'),
        (f"{RAT} import", 'The rcptaccess "import" command requires a filename.'),
        (f"{RAT} import nosuch", 'the file "nosuch" does not exist.'),
        (f"{RAT} export a/b", 'Symbols are not allowed in the file name "a/b".'),
        (f"{RAT} clear", f"{SYNTAX}Missing argument: <access>."),
        (f"{RAT} clear maybe", "The value must be an integer from 1 to 2."),
        (f"{MAP} new a.test @b.test", "That value is not valid."),
        (f"{MAP} new joe@a.test @b.test", "The new address must be a complete email address."),
        (f"{MAP} new @a.test", f"{SYNTAX}Missing argument: <new>."),
        (f"{MAP} delete @a.test", 'The domain "@a.test" is not in the table.'),
        (f"{MAP} export", 'The domainmap "export" command requires a filename.'),
    ],
)
async def test_errors_store_nothing(session: Session, line: str, output: str) -> None:
    assert await run_batch(COMMAND, session, f"listenerconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed
