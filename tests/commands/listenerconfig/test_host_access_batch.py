"""listenerconfig edit … hostaccess: command lines (listenerconfig.md 10)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_runtime.smtp.access import compile_listener
from appliance_state.model.listeners import (
    Behavior,
    Listener,
    ListenerType,
    MailFlowPolicy,
    PolicyParameters,
    ReceivingTls,
    Sender,
    SenderGroup,
    factory_parameters,
    factory_sender_groups,
)
from commands.listenerconfig import COMMAND
from commands.listenerconfig.hat_options import FIELDS, behavior_named
from tests.support.terminal import run_batch

Inbound = Callable[[], Listener]
SYNTAX = "Invalid arguments when processing listenerconfig:\n"
HAT = 'listenerconfig edit "InboundMail" hostaccess'
RATE_TEXT = "Too many recipients received this hour"


async def done(session: Session, line: str) -> None:
    """Run a line of HOSTACCESS that succeeds and prints nothing."""
    assert await run_batch(COMMAND, session, f"{HAT} {line}") == ("", False)


def group(listener: Listener, name: str) -> SenderGroup:
    return next(entry for entry in listener.hat_sender_groups if entry.identity == name)


def hosts(listener: Listener, name: str) -> list[str]:
    return [sender.source for sender in group(listener, name).senders]


async def test_the_line_of_the_specification(session: Session, inbound: Inbound) -> None:
    await done(session, "edit sendergroup BLACKLIST new 192.0.2.1")
    assert hosts(inbound(), "BLACKLIST") == ["192.0.2.1"]


async def test_hosts_of_a_group(session: Session, inbound: Inbound) -> None:
    await done(session, "edit sendergroup blacklist new 10.0.0.1,10.0.0.2,.A.test")
    await done(session, "edit sendergroup BLACKLIST new 10.0.0.2,10.0.0.3")
    await done(session, "edit sendergroup BLACKLIST move .a.test 10.0.0.1")
    await done(session, "edit sendergroup BLACKLIST delete 10.0.0.1")
    assert hosts(inbound(), "BLACKLIST") == [".a.test", "10.0.0.2", "10.0.0.3"]
    assert await run_batch(COMMAND, session, f"{HAT} edit sendergroup BLACKLIST print") == (
        "BLACKLIST:\n    .a.test\n    10.0.0.2\n    10.0.0.3\n        $BLOCKED (Spammers are rejected)\n",
        False,
    )
    await done(session, "edit sendergroup BLACKLIST rename SPAM")
    assert hosts(inbound(), "SPAM")


async def test_new_groups_and_entries(session: Session, inbound: Inbound) -> None:
    await done(
        session, 'new sendergroup PARTNERS 192.0.2.0/24,.partner.test Accept --tls=required --tls_verify=yes --comment="must encrypt"'
    )
    await done(session, 'new sendergroup "" 10.0.0.1,10.0.0.2 "Policy: blocked"')
    await done(session, 'new sendergroup DROP 10.0.0.3 "TCP Refuse"')
    assert inbound().hat_sender_groups[4:-1] == (
        SenderGroup(
            name="PARTNERS",
            senders=(Sender(source="192.0.2.0/24"), Sender(source=".partner.test")),
            behavior=Behavior.ACCEPT,
            parameters=PolicyParameters(tls=ReceivingTls.REQUIRE, tls_verify=True),
            comment="must encrypt",
        ),
        SenderGroup(senders=(Sender(source="10.0.0.1"),), policy="BLOCKED"),
        SenderGroup(senders=(Sender(source="10.0.0.2"),), policy="BLOCKED"),
        SenderGroup(name="DROP", senders=(Sender(source="10.0.0.3"),), behavior=Behavior.TCPREFUSE),
    )
    await done(session, "move 10.0.0.2 partners")
    await done(session, "delete sendergroup 10.0.0.1")
    assert [entry.identity for entry in inbound().hat_sender_groups[4:]] == ["10.0.0.2", "PARTNERS", "DROP", "ALL"]


async def test_the_runtime_understands_every_source_that_is_accepted(session: Session, inbound: Inbound) -> None:
    forms = "192.0.2.1,2001:db8::1,10.1.1.7/24,2001:db8::/32,10.1.1.10-20,10.1.1.10-10.1.1.20,2001:db8::1-2001:db8::5,10.2.3.,10."
    await done(session, f"new sendergroup G {forms},crm.example.com,.example.com,.test Accept")
    compile_listener(session.draft.config, inbound())


async def test_a_comment_is_one_line(session: Session, inbound: Inbound) -> None:
    await done(session, 'new sendergroup G 10.0.0.1 Accept --comment="two\n lines\x1b[2J "')
    assert group(inbound(), "G").comment == "two lines[2J"


async def test_policy_of_an_entry(session: Session, inbound: Inbound) -> None:
    await done(session, "edit sendergroup BLACKLIST policy Accept --max_conn=5 --tls=preferred")
    assert group(inbound(), "BLACKLIST").parameters == PolicyParameters(max_concurrency=5, tls=ReceivingTls.ON)
    await done(session, "edit sendergroup BLACKLIST policy Relay --max_conn=default")
    changed = group(inbound(), "BLACKLIST")
    assert (changed.behavior, changed.policy, changed.parameters) == (Behavior.RELAY, None, PolicyParameters(tls=ReceivingTls.ON))
    assert changed.comment == "Spammers are rejected"
    await done(session, "edit sendergroup BLACKLIST policy $trusted")
    assert group(inbound(), "BLACKLIST") == SenderGroup(name="BLACKLIST", policy="TRUSTED", comment="Spammers are rejected")
    await done(session, 'edit sendergroup all policy Reject --cust_rej="Not here." --rej_code=521')
    assert group(inbound(), "ALL").parameters == PolicyParameters(reject_banner_code=521, reject_banner_text="Not here.")


async def test_policies(session: Session, inbound: Inbound) -> None:
    await done(session, "new policy STRICT Accept --tls=required --max_size=1M")
    await done(session, "edit policy strict Relay --max_size=default --max_rcpt=5")
    assert inbound().policy("STRICT") == MailFlowPolicy(
        name="STRICT", behavior=Behavior.RELAY, parameters=PolicyParameters(max_rcpts_per_msg=5, tls=ReceivingTls.REQUIRE)
    )
    await done(session, "delete policy STRICT")
    assert inbound().policy("STRICT") is None
    await done(session, "delete policy TRUSTED --force")
    assert group(inbound(), "WHITELIST").behavior is Behavior.ACCEPT


async def test_default(session: Session, inbound: Inbound) -> None:
    await done(
        session,
        "default --max_size=20M --max_conn=20 --max_msgs=30 --max_rcpt=40 --override=MX.example.com --cust_acc=Welcome. --acc_code=221 "
        '--cust_rej="Go away." --rej_code=521 --rate_lim=1000 --cust_lim="Slow down." --lim_code=451 --sig_bits=24 --tls=required '
        "--tls_verify=yes",
    )
    full = PolicyParameters(
        max_message_size=20971520,
        max_concurrency=20,
        max_msgs_per_session=30,
        max_rcpts_per_msg=40,
        override_hostname="mx.example.com",
        smtp_banner_code=221,
        smtp_banner_text="Welcome.",
        reject_banner_code=521,
        reject_banner_text="Go away.",
        max_rcpts_per_hour=1000,
        max_rcpts_per_hour_code=451,
        max_rcpts_per_hour_text="Slow down.",
        significant_bits=24,
        tls=ReceivingTls.REQUIRE,
        tls_verify=True,
    )
    assert inbound().hat_default == full
    await done(session, "default --max_conn=21")
    assert inbound().hat_default == evolve(full, max_concurrency=21)
    await done(
        session,
        "default --max_size=10M --max_conn=10 --max_msgs=10 --max_rcpt=50 --override=no --cust_acc=no --cust_rej=no --rate_lim=no "
        "--cust_lim=no --sig_bits=no --tls=no --tls_verify=no",
    )
    assert inbound().hat_default == factory_parameters(ListenerType.PUBLIC)
    await done(session, "default --override=")
    assert inbound().hat_default.override_hostname == ""


async def test_no_and_default_in_a_policy(session: Session, inbound: Inbound) -> None:
    await done(session, "new policy P Accept --cust_acc=no --cust_rej=no --cust_lim=no --rate_lim=no --sig_bits=no --override=no --tls=no")
    policy = inbound().policy("P")
    assert policy is not None
    assert policy.parameters == PolicyParameters(
        smtp_banner_code=220,
        smtp_banner_text="",
        reject_banner_code=554,
        reject_banner_text="",
        max_rcpts_per_hour=-1,
        max_rcpts_per_hour_code=452,
        max_rcpts_per_hour_text=RATE_TEXT,
        significant_bits=0,
        tls=ReceivingTls.OFF,
    )
    options = [f"--{option}=default" for option in FIELDS if not option.endswith("_code")]
    await done(session, f"edit policy P Accept {' '.join(options)}")
    assert inbound().policy("P") == MailFlowPolicy(name="P", behavior=Behavior.ACCEPT)


async def test_an_own_code_survives_the_text_default(session: Session, inbound: Inbound) -> None:
    await done(session, "new policy P Accept --acc_code=221 --cust_acc=default")
    policy = inbound().policy("P")
    assert policy is not None
    assert policy.parameters == PolicyParameters(smtp_banner_code=221)


async def test_whole_table(session: Session, inbound: Inbound, tmp_path: Path) -> None:
    before = inbound()
    output, failed = await run_batch(COMMAND, session, f"{HAT} PRINT")
    assert output.startswith("$ACCEPTED\n    ACCEPT\n")
    assert output.endswith("ALL\n    $ACCEPTED (Everyone else)\n")
    assert not failed
    await done(session, "export in.hat")
    assert (tmp_path / "in.hat").read_text() == output
    await done(session, "clear")
    assert len(inbound().hat_sender_groups) == 1
    await done(session, "import in.hat")
    assert inbound() == before
    await done(session, "edit sendergroup BLACKLIST new 10.0.0.1")
    await done(session, "reset")
    assert inbound().hat_sender_groups == factory_sender_groups(ListenerType.PUBLIC)


async def test_an_import_with_warnings_prints_nothing(session: Session, tmp_path: Path) -> None:
    (tmp_path / "old.hat").write_text("ALL\n  ACCEPT { spam_check = on }\n")
    await done(session, "import old.hat")


@pytest.mark.parametrize(
    ("text", "behavior", "policy"),
    [
        ("accept", Behavior.ACCEPT, None),
        ("RELAY", Behavior.RELAY, None),
        ("Reject", Behavior.REJECT, None),
        ("tcp refuse", Behavior.TCPREFUSE, None),
        ("TCPREFUSE", Behavior.TCPREFUSE, None),
        ("Continue", Behavior.CONTINUE, None),
        ("policy: Trusted", None, "TRUSTED"),
        ("Policy:TRUSTED", None, "TRUSTED"),
        ("$trusted", None, "TRUSTED"),
    ],
)
def test_names_of_behaviors(inbound: Inbound, text: str, behavior: Behavior | None, policy: str | None) -> None:
    assert behavior_named(text, inbound().hat_policies, entry=True) == (behavior, policy)


NOT_VALID = """\
"x" is not a valid host.
IP addresses, IP address ranges, CIDR addresses, and partial IP addresses are allowed.
Hostnames such as "example.com" and partial hostnames such as ".example.com" are allowed."""


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("frobnicate", f"{SYNTAX}Unknown operation.\n: 'frobnicate'"),
        ("new group X", f"{SYNTAX}Unknown operation.\n: 'group'"),
        ("new sendergroup X 10.0.0.1", f"{SYNTAX}Missing argument: <behavior>."),
        ("new sendergroup X 10.0.0.1 Accept more", f"{SYNTAX}Too many arguments.\n: 'more'"),
        ("new sendergroup X x Accept", NOT_VALID),
        ("new sendergroup X 10.0.0.1 Maybe", "Invalid selected behavior: Maybe"),
        ("new sendergroup X 10.0.0.1 $nosuch", "Invalid selected behavior: $nosuch"),
        ("new sendergroup X 10.0.0.1 $TRUSTED --max_conn=5", "Options cannot be combined with a policy."),
        ("new sendergroup blacklist 10.0.0.1 Accept", 'A sender group named "blacklist" already exists.'),
        ("new sendergroup ALL 10.0.0.1 Accept", 'A sender group named "ALL" already exists.'),
        ("new sendergroup a/b 10.0.0.1 Accept", "A name may contain letters, numbers, underscores, hyphens and periods."),
        ("new policy trusted Accept", 'A policy named "trusted" already exists.'),
        ("new policy P Continue", "Invalid selected behavior: Continue"),
        ("new policy P $TRUSTED", "Invalid selected behavior: $TRUSTED"),
        ("edit sendergroup NOSUCH new 10.0.0.1", 'There is no sender group "NOSUCH".'),
        ("edit sendergroup ALL new 10.0.0.1", f"{SYNTAX}Unknown operation.\n: 'new'"),
        ("edit sendergroup ALL rename X", f"{SYNTAX}Unknown operation.\n: 'rename'"),
        ("edit sendergroup BLACKLIST delete 10.0.0.9", 'The host "10.0.0.9" is not in this group.'),
        ("edit sendergroup BLACKLIST rename WHITELIST", 'A sender group named "WHITELIST" already exists.'),
        ("edit policy NOSUCH Accept", 'There is no policy "NOSUCH".'),
        ("edit policy TRUSTED Nothing", "Invalid selected behavior: Nothing"),
        ("delete sendergroup NOSUCH", 'There is no sender group "NOSUCH".'),
        ("delete sendergroup ALL", 'The entry "ALL" cannot be deleted.'),
        ("delete policy ACCEPTED", 'The policy "ACCEPTED" is used by: UNKNOWNLIST, ALL.'),
        ("move ALL BLACKLIST", 'The entry "ALL" must be the last entry.'),
        ("move BLACKLIST NOSUCH", 'There is no sender group "NOSUCH".'),
        ("default --max_conn=default", '"max_conn" can only be "default" when working with policies.'),
        ("default --frob=1", f"{SYNTAX}Unknown option.\n: '--frob=1'"),
        ("default --as_scan=yes", 'Option "as_scan" is not supported.'),
        ("default --use_sb=default", 'Option "use_sb" is not supported.'),
        ("default --av_scan no", 'Option "av_scan" is not supported.'),
        ("default --dhap=5", 'Option "dhap" is not supported.'),
        ("import", 'The hostaccess "import" command requires a filename.'),
        ("export", 'The hostaccess "export" command requires a filename.'),
        ("import nosuch", 'the file "nosuch" does not exist.'),
    ],
)
async def test_errors_store_nothing(session: Session, line: str, output: str) -> None:
    assert await run_batch(COMMAND, session, f"{HAT} {line}") == (f"{output}\n", True)
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("option", "accepted", "refused"),
    [
        ("max_size", ["1024", "1k", "2147483647"], ["1023", "2147483648", "x", "no", ""]),
        ("max_conn", ["1", "1000000"], ["0", "1000001", "no"]),
        ("max_msgs", ["1", "1000000"], ["0", "1000001"]),
        ("max_rcpt", ["1", "1000000"], ["0", "1000001"]),
        ("override", ["mx.example.com", "no"], ["localhost"]),
        ("cust_acc", ["text", "no"], [""]),
        ("acc_code", ["200", "299"], ["199", "300", "no"]),
        ("cust_rej", ["text", "no"], [""]),
        ("rej_code", ["400", "599"], ["399", "600"]),
        ("rate_lim", ["1", "1000000000", "no"], ["0", "1000000001", "-1"]),
        ("cust_lim", ["text", "no"], [""]),
        ("lim_code", ["400", "599"], ["399", "600"]),
        ("sig_bits", ["0", "32", "no"], ["-1", "33"]),
        ("tls", ["no", "Preferred", "REQUIRED"], ["maybe", "3"]),
        ("tls_verify", ["yes", "No"], ["maybe"]),
    ],
)
async def test_values_of_the_options(session: Session, option: str, accepted: list[str], refused: list[str]) -> None:
    for value in refused:
        assert await run_batch(COMMAND, session, f"{HAT} default --{option}={value}") == (f'Invalid "{option}" value: {value}\n', True)
        assert not session.draft.changed
    for value in accepted:
        await done(session, f"default --{option}={value}")


def test_every_option_is_tested() -> None:
    marks = test_values_of_the_options.pytestmark  # type: ignore[attr-defined]
    assert [row[0] for row in marks[0].args[1]] == list(FIELDS)


async def test_an_overridden_host_name_cannot_be_undone_by_a_policy(session: Session) -> None:
    await done(session, "default --override=mx.example.com")
    assert await run_batch(COMMAND, session, f"{HAT} new policy P Accept --override=no") == ('Invalid "override" value: no\n', True)


async def test_no_policies(session: Session) -> None:
    await done(session, "clear")
    for line in ("edit policy X Accept", "delete policy X"):
        assert await run_batch(COMMAND, session, f"{HAT} {line}") == ("No policies to edit.\n", True)
