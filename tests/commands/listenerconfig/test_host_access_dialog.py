"""listenerconfig > EDIT > HOSTACCESS: entries, groups, policies, import and export (listenerconfig.md 5)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.listeners import (
    Behavior,
    Listener,
    ListenerType,
    MailFlowPolicy,
    PolicyParameters,
    ReceivingTls,
    Sender,
    SenderGroup,
    factory_policies,
    factory_sender_groups,
)
from tests.support.terminal import CTRL_C

Within = Callable[..., Awaitable[tuple[str, bool]]]
Inbound = Callable[[], Listener]

BLOCK = """\
Default Policy Parameters
==========================
Maximum Message Size: 10M
Maximum Number Of Connections From A Single IP: 10
Maximum Number Of Messages Per Connection: 10
Maximum Number Of Recipients Per Message: 50
Maximum Number Of Recipients Per Hour: Disabled
Allow TLS Connections: No
"""
MENU = """\
Choose the operation you want to perform:
- NEW - Create a new entry.
- EDIT - Modify an entry.
- DELETE - Remove an entry.
- MOVE - Move an entry.
- DEFAULT - Set the defaults.
- PRINT - Display the table.
- IMPORT - Import a table from a file.
- EXPORT - Export the table to a file.
- CLEAR - Remove all entries.
- RESET - Remove senders and set policies to system default.
[]> """
GROUP_MENU = """\
Choose the operation you want to perform:
- NEW - Add a new host.
- DELETE - Remove a host.
- MOVE - Reorder the hosts.
- POLICY - Change the policy settings and options.
- PRINT - Display the current definition.
- RENAME - Rename this sender group.
[]> """
ROWS = """\
Currently configured HAT sender groups:
1. WHITELIST (My trusted senders have no anti-spam scanning or rate limiting)
2. BLACKLIST (Spammers are rejected)
3. SUSPECTLIST (Suspicious senders are throttled)
4. UNKNOWNLIST (Reviewed but undecided, continue normal acceptance)
5. (no name, first host = ALL) (Everyone else)
"""
FORMS = """\
CIDR addresses such as 10.1.1.0/24 are allowed. IP
address ranges such as 10.1.1.10-20 are allowed. IP subnets such as 10.2.3. are
allowed. Hostnames such as crm.example.com are allowed. Partial hostnames such
as .example.com are allowed.
Separate multiple hosts with commas
[]> """
BEHAVIORS = """\
Select a behavior for this entry.
1. Accept
2. Relay
3. Reject
4. TCP Refuse
5. Continue
6. Policy: ACCEPTED
7. Policy: BLOCKED
8. Policy: THROTTLED
9. Policy: TRUSTED
"""
KINDS = "1. Sender Group\n2. Policy\n[1]> "
NOT_SUPPORTED = "Reputation, geolocation, DNS list and threat feed sources are not supported."


def names(listener: Listener) -> list[str]:
    return [group.identity for group in listener.hat_sender_groups]


def hosts(listener: Listener, group: str) -> list[str]:
    return [sender.source for entry in listener.hat_sender_groups if entry.name == group for sender in entry.senders]


async def test_status_and_menu(within: Within) -> None:
    transcript, _ = await within("hostaccess")
    assert transcript.startswith(
        f"\n{BLOCK}\nThere are currently 4 policies defined.\nThere are currently 5 sender groups.\n\n{MENU}\n\nName: InboundMail\n"
    )


# -- NEW ------------------------------------------------------------------------------------------------------------


async def test_transcript_of_new(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "new", "1", "PARTNERS", "192.0.2.0/24, .partner.test", "1", "", "")
    assert (
        f"""\
{MENU}new

1. New Sender Group
2. New Policy
[1]> 1

Enter a name for this sender group. (optional)
[]> PARTNERS

Enter the hosts to add. {FORMS}192.0.2.0/24, .partner.test

{BEHAVIORS}[1]> 1

Would you like to change the default parameters? [N]> 

Enter a comment for this sender group.
[]> 

{BLOCK}
There are currently 4 policies defined.
There are currently 6 sender groups.
"""
        in transcript
    )
    assert names(inbound())[-2:] == ["PARTNERS", "ALL"]
    assert inbound().hat_sender_groups[-2] == SenderGroup(
        name="PARTNERS", senders=(Sender(source="192.0.2.0/24"), Sender(source=".partner.test")), behavior=Behavior.ACCEPT
    )


async def test_an_empty_name_makes_one_entry_per_host(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "new", "", "", "10.0.0.1, 10.0.0.2, 10.0.0.1", "Policy: BLOCKED", "bad ones")
    assert "change the default parameters" not in transcript
    assert "There are currently 5 sender groups." in transcript.split("bad ones")[1]
    assert inbound().hat_sender_groups[-3:-1] == tuple(
        SenderGroup(senders=(Sender(source=host),), policy="BLOCKED", comment="bad ones") for host in ("10.0.0.1", "10.0.0.2")
    )


async def test_parameters_of_a_new_entry(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "new", "", "P", "10.0.0.1", "relay", "y", *[""] * 9, "3", "y", "")
    assert (
        "Enter the maximum message size. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.\n[Default]> "
        in transcript
    )
    assert "4. Default\n[4]> 3\nYou have chosen to enable TLS." in transcript
    assert inbound().hat_sender_groups[-2] == SenderGroup(
        name="P",
        senders=(Sender(source="10.0.0.1"),),
        behavior=Behavior.RELAY,
        parameters=PolicyParameters(tls=ReceivingTls.REQUIRE, tls_verify=True),
    )


async def test_new_policy(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "new", "2", "STRICT", "1", "1M", "5", *["default"] * 6, "n", "required", "")
    assert (
        """\
[1]> 2

Enter the name of this policy.
[]> STRICT

Select a behavior for this entry.
1. Accept
2. Relay
3. Reject
4. TCP Refuse
[1]> 1

Enter the maximum message size."""
        in transcript
    )
    assert inbound().policy("strict") == MailFlowPolicy(
        name="STRICT",
        behavior=Behavior.ACCEPT,
        parameters=PolicyParameters(
            max_message_size=1048576, max_concurrency=5, significant_bits=0, tls=ReceivingTls.REQUIRE, tls_verify=None
        ),
    )


async def test_a_new_policy_that_rejects_has_no_further_question(within: Within, inbound: Inbound) -> None:
    await within("hostaccess", "new", "policy", "DROP", "TCP Refuse")
    assert inbound().policy("DROP") == MailFlowPolicy(name="DROP", behavior=Behavior.TCPREFUSE)


def not_valid(host: str) -> str:
    return (
        f'"{host}" is not a valid host.\n'
        "IP addresses, IP address ranges, CIDR addresses, and partial IP addresses are allowed.\n"
        'Hostnames such as "example.com" and partial hostnames such as ".example.com" are allowed.'
    )


NAME_RULE = "A name may contain letters, numbers, underscores, hyphens and periods."


@pytest.mark.parametrize(
    ("before", "wrong", "text"),
    [
        ([], "3", "The value must be an integer from 1 to 2."),
        (["1"], "a b", NAME_RULE),
        (["1"], "blacklist", 'A sender group named "blacklist" already exists.'),
        (["1"], "all", 'A sender group named "all" already exists.'),
        (["1", "P"], "", "The value cannot be blank."),
        (["1", "P"], "10.0.0.300", not_valid("10.0.0.300")),
        (["1", "P"], "10.0.0.1,x", not_valid("x")),
        (["1", "P"], "10.0.0.1,", not_valid("")),
        (["1", "P"], "ALL", not_valid("ALL")),
        (["1", "P"], "sbrs[-10.0:-3.0]", NOT_SUPPORTED),
        (["1", "P"], "SBO:1234", NOT_SUPPORTED),
        (["1", "P"], "dnslist[bl.example.com]", NOT_SUPPORTED),
        (["1", "P"], "geo[Some Country, Other]", NOT_SUPPORTED),
        (["1", "P", "10.0.0.1"], "10", "The value must be an integer from 1 to 9."),
        (["2"], "", "The value cannot be blank."),
        (["2"], "a b", NAME_RULE),
        (["2"], "accepted", 'A policy named "accepted" already exists.'),
        (["2", "P"], "Continue", "The value must be an integer from 1 to 4."),
    ],
)
async def test_refused_answers_of_new(within: Within, session: Session, before: list[str], wrong: str, text: str) -> None:
    transcript, failed = await within("hostaccess", "new", *before, wrong, last=CTRL_C)
    asked, again = transcript.split(f"> {wrong}\n{text}\n\n")
    assert asked.endswith(f"\n\n{again.removesuffix('> ^C' + chr(10))}")
    assert failed
    assert not session.draft.changed


# -- EDIT of a group ------------------------------------------------------------------------------------------------


async def test_transcript_of_edit(within: Within, session: Session) -> None:
    transcript, _ = await within("hostaccess", "edit", "1", "2", up=4)
    assert (
        f"""\
{MENU}edit

{KINDS}1

{ROWS}Enter the sender group number or name you wish to edit.
[]> 2

{GROUP_MENU}

{BLOCK}"""
        in transcript
    )
    assert not session.draft.changed


async def test_adding_hosts_to_a_group(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within(
        "hostaccess", "edit", "", "blacklist", "new", "10.0.0.1,10.0.0.2", "new", "10.0.0.1, 10.0.0.3", "", "new", "10.0.0.2", "y", up=4
    )
    assert f"[]> new\n\nEnter the senders to add to this group.\n{FORMS}10.0.0.1,10.0.0.2\n\n{GROUP_MENU}" in transcript
    assert 'The host "10.0.0.1" is already in this group. Add anyway? [N]> \n' in transcript
    assert hosts(inbound(), "BLACKLIST") == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2"]


async def test_removing_and_moving_hosts(within: Within, inbound: Inbound) -> None:
    edit = ["hostaccess", "edit", "1", "BLACKLIST"]
    transcript, _ = await within(*edit, "delete", "new", "10.0.0.1,10.0.0.2,.a.test", "move", "4", ".a.test", "1", up=4)
    assert "[]> delete\nThere are no hosts in this sender group.\n\n" in transcript
    question = "1. 10.0.0.1\n2. 10.0.0.2\n3. .a.test\nEnter the host you wish to move.\n[]> "
    assert f"{question}4\nThe value must be an integer from 1 to 3.\n\n{question}.a.test\n" in transcript
    assert "\n\nEnter the host to insert it before.\n[]> 1\n" in transcript
    assert hosts(inbound(), "BLACKLIST") == [".a.test", "10.0.0.1", "10.0.0.2"]
    transcript, _ = await within(*edit, "delete", "2", "delete", "", "delete", "10.0.0.2", "delete", "1", "print", up=4)
    assert "1. .a.test\n2. 10.0.0.1\n3. 10.0.0.2\nEnter the host you wish to remove.\n[]> 2\n" in transcript
    assert "[]> print\n\nBLACKLIST:\n        $BLOCKED (Spammers are rejected)\n\n" in transcript
    assert hosts(inbound(), "BLACKLIST") == []


async def test_policy_of_a_group(within: Within, inbound: Inbound) -> None:
    edit = ["hostaccess", "edit", "1", "BLACKLIST", "policy"]
    transcript, _ = await within(*edit, "1", "y", "default", "3", *[""] * 8, "", up=4)
    assert f"[]> policy\n\n{BEHAVIORS}[7]> 1\n\nWould you like to change the default parameters? [N]> y\n" in transcript
    assert "Enter a comment for this sender group.\n[Spammers are rejected]> \n" in transcript
    changed = inbound().hat_sender_groups[1]
    assert (changed.behavior, changed.policy, changed.comment) == (Behavior.ACCEPT, None, "Spammers are rejected")
    assert changed.parameters == PolicyParameters(max_concurrency=3)
    transcript, _ = await within(*edit, "", "", "", up=4)
    assert f"{BEHAVIORS}[1]> \n" in transcript
    assert inbound().hat_sender_groups[1] == changed
    await within(*edit, "Continue", "going on", up=4)
    assert inbound().hat_sender_groups[1] == SenderGroup(name="BLACKLIST", behavior=Behavior.CONTINUE, comment="going on")


async def test_renaming_a_group(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "edit", "1", "2", "rename", "WHITELIST", "Blacklist", "rename", "SPAM", "print", up=4)
    assert 'Enter a new name for this sender group.\n[]> WHITELIST\nA sender group named "WHITELIST" already exists.\n\n' in transcript
    assert "[]> print\n\nSPAM:\n" in transcript
    assert names(inbound()) == ["WHITELIST", "SPAM", "SUSPECTLIST", "UNKNOWNLIST", "ALL"]


async def test_all_has_policy_and_print_only(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "edit", "1", "all", "print", "new", "policy", "3", "", up=4)
    menu = (
        "Choose the operation you want to perform:\n"
        "- POLICY - Change the policy settings and options.\n"
        "- PRINT - Display the current definition.\n[]> "
    )
    assert f'{menu}print\n\nALL\n    $ACCEPTED (Everyone else)\n\n{menu}new\nUnknown option "new".\n\n{menu}policy\n' in transcript
    assert inbound().hat_sender_groups[-1].behavior is Behavior.REJECT


async def test_an_entry_without_name_is_chosen_by_its_host_and_can_be_named(within: Within, inbound: Inbound) -> None:
    await within("hostaccess", "new", "", "", "10.0.0.1", "reject", "")
    transcript, _ = await within("hostaccess", "edit", "1", "10.0.0.1", "rename", "BAD", up=4)
    assert "\n5. (no name, first host = 10.0.0.1)\n" in transcript
    assert "- NEW - Add a new host." not in transcript.split("rename")[0].rsplit("10.0.0.1\n", 1)[1]
    assert names(inbound())[-2:] == ["BAD", "ALL"]


async def test_the_kind_is_not_asked_without_policies(within: Within) -> None:
    transcript, _ = await within("hostaccess", "clear", "edit", "", "delete", "")
    assert KINDS not in transcript
    assert "HAT sender groups:\n1. (no name, first host = ALL)\nEnter the sender group number or name you wish to delete.\n" in transcript


# -- policies -------------------------------------------------------------------------------------------------------


async def test_editing_a_policy(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "edit", "2", "trusted", "", *[""] * 7, "default", *[""] * 2)
    assert (
        """\
Currently configured HAT policies:
1. ACCEPTED
2. BLOCKED
3. THROTTLED
4. TRUSTED
Enter the policy number or name you wish to edit.
[]> trusted

Select a behavior for this entry.
1. Accept
2. Relay
3. Reject
4. TCP Refuse
[1]> 

Enter the maximum message size. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.
[100M]> 

Enter the maximum number of concurrent connections allowed from a single IP address.
[600]> 
"""
        in transcript
    )
    assert "Do you want to enable rate limiting per host? (Yes/No/Default) [N]> default\n" in transcript
    trusted = factory_policies(ListenerType.PUBLIC)[3]
    assert inbound().policy("TRUSTED") == evolve(trusted, parameters=evolve(trusted.parameters, max_rcpts_per_hour=None))


async def test_a_policy_in_use_is_deleted_after_a_question(within: Within, inbound: Inbound, session: Session) -> None:
    question = (
        'The policy "ACCEPTED" is used by: UNKNOWNLIST, ALL. These entries will use the default parameters with the behavior of '
        "the policy. Do you want to continue? [N]> "
    )
    transcript, _ = await within("hostaccess", "delete", "2", "1", "")
    assert "Enter the policy number or name you wish to delete.\n[]> 1\n\n" + question in transcript
    assert not session.draft.changed
    await within("hostaccess", "delete", "2", "accepted", "y")
    assert [policy.name for policy in inbound().hat_policies] == ["BLOCKED", "THROTTLED", "TRUSTED"]
    assert [(group.policy, group.behavior) for group in inbound().hat_sender_groups[-2:]] == [(None, Behavior.ACCEPT)] * 2


async def test_an_unused_policy_is_deleted_without_a_question(within: Within, inbound: Inbound) -> None:
    await within("hostaccess", "new", "2", "DROP", "3")
    transcript, _ = await within("hostaccess", "delete", "2", "DROP")
    assert "is used by" not in transcript
    assert inbound().policy("DROP") is None


# -- DELETE and MOVE of entries -------------------------------------------------------------------------------------


async def test_deleting_a_group(within: Within, inbound: Inbound) -> None:
    question = f"{ROWS}Enter the sender group number or name you wish to delete.\n[]> "
    transcript, _ = await within("hostaccess", "delete", "1", "5", "6", "WHITELIST")
    assert f'{question}5\nThe entry "ALL" cannot be deleted.\n\n{question}6\nThe value must be an integer from 1 to 5.\n\n' in transcript
    assert names(inbound()) == ["BLACKLIST", "SUSPECTLIST", "UNKNOWNLIST", "ALL"]


@pytest.mark.parametrize(
    ("entry", "before", "order"),
    [
        ("UNKNOWNLIST", "1", "4123"),
        ("1", "all", "2341"),
        ("1", "4", "2314"),
        ("2", "2", "1234"),
        ("3", "whitelist", "3124"),
    ],
)
async def test_moving_an_entry(within: Within, inbound: Inbound, entry: str, before: str, order: str) -> None:
    old = names(inbound())
    transcript, _ = await within("hostaccess", "move", entry, before)
    assert f"{ROWS}Enter the number or name of the sender group you wish to move.\n[]> {entry}\n\n" in transcript
    assert f"\n\nEnter the number or name of the sender group to insert it before.\n[]> {before}\n\n{BLOCK}" in transcript
    assert names(inbound()) == [*(old[int(digit) - 1] for digit in order), "ALL"]


async def test_all_cannot_be_moved(within: Within, session: Session) -> None:
    transcript, failed = await within("hostaccess", "move", "ALL", "")
    question = f"{ROWS}Enter the number or name of the sender group you wish to move.\n[]> "
    assert f'{question}ALL\nThe entry "ALL" must be the last entry.\n\n{question}\n' in transcript
    assert failed
    assert not session.draft.changed


# -- the whole table ------------------------------------------------------------------------------------------------


async def test_print(within: Within) -> None:
    transcript, _ = await within("hostaccess", "print", listener="OutboundMail")
    assert (
        """\
[]> print

$BLOCKED
    REJECT
$RELAYED
    RELAY
RELAYLIST:
    10.0.0.0/8
        $RELAYED
ALL
    $BLOCKED (Everyone else)

Default Policy Parameters
"""
        in transcript
    )


async def test_clear_and_reset(within: Within, inbound: Inbound, session: Session) -> None:
    hat_default = inbound().hat_default
    await within("hostaccess", "clear")
    assert inbound().hat_policies == ()
    assert inbound().hat_sender_groups == (SenderGroup(senders=(Sender(source="ALL"),), behavior=Behavior.ACCEPT),)
    await within("hostaccess", "reset")
    assert inbound().hat_policies == factory_policies(ListenerType.PUBLIC)
    assert inbound().hat_sender_groups == factory_sender_groups(ListenerType.PUBLIC)
    assert inbound().hat_default == hat_default
    await within("hostaccess", "clear", listener="OutboundMail")
    outbound = session.draft.config.listeners["OutboundMail"]
    assert outbound.hat_sender_groups == (SenderGroup(senders=(Sender(source="ALL"),), behavior=Behavior.REJECT),)
    await within("hostaccess", "reset", listener="OutboundMail")
    outbound = session.draft.config.listeners["OutboundMail"]
    assert outbound.hat_sender_groups == factory_sender_groups(ListenerType.PRIVATE)


async def test_export_and_import(within: Within, inbound: Inbound, tmp_path: Path) -> None:
    transcript, _ = await within("hostaccess", "export", "a/b", "inbound.hat")
    question = "Enter a name for the exported file:\n[]> "
    wrong = 'Symbols are not allowed in the file name "a/b".'
    assert f"{question}a/b\n{wrong}\n\n{question}inbound.hat\nExport completed.\n\n{BLOCK}" in transcript
    assert (tmp_path / "inbound.hat").read_text().startswith("$ACCEPTED\n    ACCEPT\n$BLOCKED\n    REJECT\n")
    before = inbound()
    await within("hostaccess", "clear")
    transcript, failed = await within("hostaccess", "import", "inbound.hat")
    assert "Enter the name of the file to import:\n[]> inbound.hat\n5 entries imported successfully.\n\n" in transcript
    assert not failed
    assert inbound() == before


async def test_import_of_a_file_with_functions_that_do_not_exist_here(within: Within, inbound: Inbound, tmp_path: Path) -> None:
    (tmp_path / "old.hat").write_text("$P\n  ACCEPT { spam_check = on }\nG:\n  sbrs[none]\n  10.0.0.1\n    $P\nALL\n  $P\n")
    transcript, failed = await within("hostaccess", "import", "old.hat")
    assert (
        "[]> old.hat\n"
        'Warning: Line 2: "spam_check" ignored, not supported.\n'
        'Warning: Line 4: "sbrs[none]" ignored, reputation sources are not supported.\n'
        "2 entries imported successfully.\n\n"
    ) in transcript
    assert not failed
    assert hosts(inbound(), "G") == ["10.0.0.1"]


async def test_import_is_all_or_nothing(within: Within, session: Session, tmp_path: Path) -> None:
    (tmp_path / "bad.hat").write_text("G:\n  10.0.0.1\n    ACCEPT { tls on }\nALL\n  ACCEPT\n")
    transcript, failed = await within("hostaccess", "import", "missing.hat", "bad.hat")
    question = "Enter the name of the file to import:\n[]> "
    assert f'{question}missing.hat\nthe file "missing.hat" does not exist.\n\n{question}bad.hat\n' in transcript
    assert '[]> bad.hat\nError: Line 3: expected "=" after "tls".\n\n' in transcript
    assert failed
    assert not session.draft.changed


async def test_limits_are_checked_before_storing(within: Within, session: Session, inbound: Inbound) -> None:
    many = tuple(Sender(source=f"10.{n // 65536}.{n // 256 % 256}.{n % 256}") for n in range(20000))
    config = session.draft.config
    listener = evolve(inbound(), hat_sender_groups=(SenderGroup(name="BIG", senders=many, policy="BLOCKED"), *inbound().hat_sender_groups))
    session.appliance.config = config.with_(listeners=config.listeners.put(listener))  # type: ignore[attr-defined]
    transcript, _ = await within("hostaccess", "edit", "1", "BLACKLIST", "new", "192.0.2.1", up=4)
    assert "[]> 192.0.2.1\nThere is a maximum of 20000 hosts.\n\n" in transcript
    transcript, _ = await within("hostaccess", "new", "1", "P", "192.0.2.1", "3", "")
    assert "[]> \nThere is a maximum of 20000 hosts.\n\n" in transcript
    assert not session.draft.changed
