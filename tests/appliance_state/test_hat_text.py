"""The host access table as text: layout, round trip, warnings, every error with its line (listenerconfig.md 5.6, 5.8)."""

import string

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance_state.hat_parameters import PARAMETER_ORDER
from appliance_state.hat_text import TableError, entry_lines, host_access_text, over_limit, parse_host_access
from appliance_state.model.fields import bounds
from appliance_state.model.listeners import (
    Behavior,
    ListenerType,
    MailFlowPolicy,
    PolicyParameters,
    ReceivingTls,
    Sender,
    SenderGroup,
    factory_policies,
    factory_sender_groups,
)

SPECIFIED = """\
$ACCEPTED
    ACCEPT
$BLOCKED
    REJECT
$THROTTLED
    ACCEPT {
        max_msgs_per_session = 10
        max_concurrency = 10
        max_rcpts_per_msg = 25
        max_rcpts_per_hour = 1
        max_message_size = 1048576
    }
$TRUSTED
    ACCEPT {
        max_msgs_per_session = 5000
        max_concurrency = 600
        max_rcpts_per_msg = 5000
        max_rcpts_per_hour = -1
        max_message_size = 104857600
    }
WHITELIST:
    192.0.2.10
    .partner.test (main partner)
        $TRUSTED (My trusted senders have no anti-spam scanning or rate limiting)
BLACKLIST:
        $BLOCKED (Spammers are rejected)
SUSPECTLIST:
        $THROTTLED (Suspicious senders are throttled)
UNKNOWNLIST:
        $ACCEPTED (Reviewed but undecided, continue normal acceptance)
spamdomain.com
    REJECT (reject the domain "spamdomain.com")
251.192.1.
    TCPREFUSE (TCPREFUSE the IP addresses in "251.192.1")
169.254.10.10
    RELAY (RELAY the address 169.254.10.10)
PARTNERS:
    192.0.2.0/24
        ACCEPT {
            tls = "require"
            tls_verify = "on"
        } (partners must encrypt)
ALL
    $ACCEPTED (Everyone else)"""


def test_the_table_of_the_specification() -> None:
    table = parse_host_access("# comment lines begin with a number sign\n" + SPECIFIED)
    assert table.warnings == ()
    assert table.policies == factory_policies(ListenerType.PUBLIC)
    assert table.groups[0].senders == (Sender(source="192.0.2.10"), Sender(source=".partner.test", comment="main partner"))
    assert table.groups[4] == SenderGroup(
        senders=(Sender(source="spamdomain.com"),), behavior=Behavior.REJECT, comment='reject the domain "spamdomain.com"'
    )
    assert table.groups[-2].parameters == PolicyParameters(tls=ReceivingTls.REQUIRE, tls_verify=True)
    assert host_access_text(table.policies, table.groups) == SPECIFIED


def test_a_new_public_listener_has_four_empty_groups_and_all() -> None:
    text = host_access_text(factory_policies(ListenerType.PUBLIC), factory_sender_groups(ListenerType.PUBLIC))
    assert text.endswith(
        """\
WHITELIST:
        $TRUSTED (My trusted senders have no anti-spam scanning or rate limiting)
BLACKLIST:
        $BLOCKED (Spammers are rejected)
SUSPECTLIST:
        $THROTTLED (Suspicious senders are throttled)
UNKNOWNLIST:
        $ACCEPTED (Reviewed but undecided, continue normal acceptance)
ALL
    $ACCEPTED (Everyone else)"""
    )


def test_any_indentation_case_and_words() -> None:
    table = parse_host_access(
        '$p accept { TLS=preferred max_message_size = 10M tls_verify = yes # not "read"\n'
        '  smtp_banner_text = "two\\nlines \\"#1\\"" } # nor (this)\r\n\n'
        "G: 10.0.0.1 (a (b) \\) c) 2001:db8::\n$P all continue"
    )
    assert table.policies == (
        MailFlowPolicy(
            name="p",
            behavior=Behavior.ACCEPT,
            parameters=PolicyParameters(
                tls=ReceivingTls.ON, max_message_size=10485760, tls_verify=True, smtp_banner_text='two\nlines "#1"'
            ),
        ),
    )
    assert table.groups == (
        SenderGroup(name="G", senders=(Sender(source="10.0.0.1", comment="a (b) ) c"), Sender(source="2001:db8::")), policy="P"),
        SenderGroup(senders=(Sender(source="ALL"),), behavior=Behavior.CONTINUE),
    )


@pytest.mark.parametrize(
    ("word", "level"),
    [("off", "off"), ("no", "off"), ("on", "on"), ("yes", "on"), ("preferred", "on"), ("require", "require"), ("Required", "require")],
)
def test_words_for_tls(word: str, level: str) -> None:
    assert parse_host_access(f'$P ACCEPT {{ tls = "{word}" }}\nALL $P').policies[0].parameters.tls == level


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", 'Error: The table must end with an "ALL" entry.'),
        ("$P\n  ACCEPT\n", 'Error: The table must end with an "ALL" entry.'),
        ("ALL\n  ACCEPT\n10.0.0.1\n  ACCEPT", 'Error: The table must end with an "ALL" entry.'),
        ("ALL ACCEPT ALL ACCEPT", 'Error: The table must end with an "ALL" entry.'),
        ("\n$P\n  ACCEPT {\n tls on\n}\nALL ACCEPT", 'Error: Line 4: expected "=" after "tls".'),
        ("$P ACCEPT { tls = }\nALL ACCEPT", 'Error: Line 1: expected a value after "tls".'),
        ("$P ACCEPT { tls = on\n", 'Error: Line 1: expected "}" before the end of the file.'),
        ("$P ACCEPT { = 1 }", 'Error: Line 1: unexpected "=".'),
        ("}\nALL ACCEPT", 'Error: Line 1: unexpected "}".'),
        ("]\nALL ACCEPT", 'Error: Line 1: "]" is not a valid host.'),
        (")\nALL ACCEPT", 'Error: Line 1: ")" is not a valid host.'),
        ('ALL ACCEPT { smtp_banner_text = "x }', "Error: Line 1: missing closing quotation mark."),
        ("ALL ACCEPT (no end", "Error: Line 1: missing closing parenthesis."),
        ("ALL", 'Error: Line 1: expected a behavior after "ALL" before the end of the file.'),
        ("$P\nFOO\nALL ACCEPT", 'Error: Line 2: unknown behavior "FOO".'),
        ("$P CONTINUE\nALL ACCEPT", 'Error: Line 1: unknown behavior "CONTINUE".'),
        ("$P $Q\nALL ACCEPT", 'Error: Line 1: unknown behavior "$Q".'),
        ("ALL FOO", 'Error: Line 1: unknown behavior "FOO".'),
        ("10.0.0.1\n$X\nALL\nACCEPT", 'Error: Line 2: unknown policy "$X".'),
        ("G: ACCPT\nALL ACCEPT", 'Error: Line 1: "ACCPT" is not a valid host.'),
        ("G: ALL ACCEPT\nALL ACCEPT", 'Error: Line 1: "ALL" is not a valid host.'),
        ("ALL: 10.0.0.1 ACCEPT\nALL ACCEPT", 'Error: Line 1: "ALL" cannot be the name of a sender group.'),
        ("10.0.0.300\nACCEPT\nALL ACCEPT", 'Error: Line 1: "10.0.0.300" is not a valid host.'),
        ("$a/b ACCEPT\nALL ACCEPT", 'Error: Line 1: "$a/b" is not a valid policy name.'),
        ("$P ACCEPT\n$p ACCEPT\nALL ACCEPT", 'Error: Line 2: policy "p" is defined twice.'),
        ("G: ACCEPT\ng: ACCEPT\nALL ACCEPT", 'Error: Line 2: sender group "g" is defined twice.'),
        ("$P ACCEPT\nALL $P { tls = on }", 'Error: Line 2: parameters cannot follow the policy "$P".'),
        ("ALL ACCEPT {\n max_message_size = 5\n}", 'Error: Line 2: invalid "max_message_size" value: 5.'),
        ("ALL ACCEPT { tls = maybe }", 'Error: Line 1: invalid "tls" value: maybe.'),
        ("ALL ACCEPT { tls_verify = maybe }", 'Error: Line 1: invalid "tls_verify" value: maybe.'),
        ("ALL ACCEPT { override_hostname = localhost }", 'Error: Line 1: invalid "override_hostname" value: localhost.'),
        ("ALL ACCEPT { max_rcpts_per_hour = 0 }", 'Error: Line 1: invalid "max_rcpts_per_hour" value: 0.'),
        ("ALL ACCEPT { max_frobs = 1 }", 'Error: Line 1: unknown parameter "max_frobs".'),
    ],
)
def test_errors_name_the_line(text: str, error: str) -> None:
    with pytest.raises(TableError) as problem:
        parse_host_access(text)
    assert str(problem.value) == error


@pytest.mark.parametrize("name", [name for name in PARAMETER_ORDER if "range" in attrs.fields_dict(PolicyParameters)[name].metadata])
def test_ranges(name: str) -> None:
    low, high = bounds(PolicyParameters, name)
    for value in (low, high):
        assert getattr(parse_host_access(f"ALL ACCEPT {{ {name} = {value} }}").groups[0].parameters, name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(TableError, match=f'invalid "{name}" value: {value}'):
            parse_host_access(f"ALL ACCEPT {{ {name} = {value} }}")


def test_what_does_not_exist_here_is_left_out_with_a_warning() -> None:
    table = parse_host_access(
        """\
$P
    ACCEPT {
        spam_check = "on"
        max_concurrency = 5
        dhap_limit = 0
    }
$Q
    ACCEPT {
        spam_check = "off"
    }
G:
    sbrs[-10.0:-3.0]
    10.0.0.1
    geo[Some Country] (far away)
        $P
dnslist[bl.example.com]
    REJECT (listed)
ALL
    $P
"""
    )
    assert table.warnings == (
        'Warning: Line 3: "spam_check" ignored, not supported.',
        'Warning: Line 5: "dhap_limit" ignored, not supported.',
        'Warning: Line 12: "sbrs[-10.0:-3.0]" ignored, reputation sources are not supported.',
        'Warning: Line 14: "geo[Some Country]" ignored, geolocation sources are not supported.',
        'Warning: Line 16: "dnslist[bl.example.com]" ignored, DNS list sources are not supported.',
    )
    assert [group.identity for group in table.groups] == ["G", "ALL"]
    assert table.groups[0].senders == (Sender(source="10.0.0.1"),)
    assert table.policies[0].parameters == PolicyParameters(max_concurrency=5)


def test_control_characters_are_dropped() -> None:
    group = parse_host_access('ALL ACCEPT { smtp_banner_text = "a\x1b[2Jb\x07" } (c\x1bd)').groups[0]
    assert (group.parameters.smtp_banner_text, group.comment) == ("a[2Jb", "cd")


@pytest.mark.parametrize("comment", ["plain", "a (b) c", "a) b (c", "smile :)", "back\\slash (", 'quote " # sign', "(", "\\"])
def test_comments_survive(comment: str) -> None:
    group = SenderGroup(name="G", senders=(Sender(source="10.0.0.1", comment=comment),), behavior=Behavior.ACCEPT, comment=comment)
    table = parse_host_access("\n".join([*entry_lines(group), "ALL ACCEPT"]))
    assert table.groups[0] == group


def test_limits() -> None:
    def groups(number: int) -> list[SenderGroup]:
        return [SenderGroup(name=f"g{n}", behavior=Behavior.ACCEPT) for n in range(number)]

    def policies(number: int) -> list[MailFlowPolicy]:
        return [MailFlowPolicy(name=f"p{n}", behavior=Behavior.ACCEPT) for n in range(number)]

    def hosts(number: int) -> list[SenderGroup]:
        return [SenderGroup(name="g", senders=(Sender(source="10.0.0.1"),) * number, behavior=Behavior.ACCEPT)]

    assert over_limit(policies(100), groups(1000)) is None
    assert over_limit([], hosts(20000)) is None
    assert over_limit([], groups(1001)) == "There is a maximum of 1000 sender groups."
    assert over_limit(policies(101), []) == "There is a maximum of 100 policies."
    assert over_limit([], hosts(20001)) == "There is a maximum of 20000 hosts."
    with pytest.raises(TableError, match=r"^Error: There is a maximum of 100 policies\.$"):
        parse_host_access(host_access_text(policies(101), factory_sender_groups(ListenerType.BLACKHOLE)[:0]) + "\nALL ACCEPT")


# -- round trip -----------------------------------------------------------------------------------------------------

names = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=12).filter(lambda name: name.upper() != "ALL")
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="".join(map(chr, range(127, 160)))), max_size=30)
comments = texts.map(str.strip)


def _own(name: str) -> st.SearchStrategy[object]:
    field = attrs.fields_dict(PolicyParameters)[name]
    if "range" in field.metadata:
        low, high = field.metadata["range"]
        return st.integers(low, high).filter(lambda value: name != "max_rcpts_per_hour" or value != 0)
    special: dict[str, st.SearchStrategy[object]] = {
        "tls": st.sampled_from(ReceivingTls),
        "tls_verify": st.booleans(),
        "override_hostname": st.sampled_from(["", "mx.example.com"]),
    }
    return special.get(name, st.lists(texts, max_size=3).map("\n".join))


parameters = st.builds(PolicyParameters, **{name: st.none() | _own(name) for name in PARAMETER_ORDER})
sessions = st.sampled_from([Behavior.ACCEPT, Behavior.RELAY, Behavior.REJECT, Behavior.TCPREFUSE])
senders = st.builds(
    Sender, source=st.sampled_from(["10.0.0.1", "2001:db8::/32", "10.1.1.1-9", "10.2.", "a.example.com", ".example.com"]), comment=comments
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[MailFlowPolicy], list[SenderGroup]]:
    policy_names = draw(st.lists(names, unique_by=str.casefold, max_size=4))
    policies = [MailFlowPolicy(name=name, behavior=draw(sessions), parameters=draw(parameters)) for name in policy_names]
    group_names = draw(st.lists(names, unique_by=str.casefold, max_size=4))
    groups = []
    for name in [*group_names, *[""] * draw(st.integers(0, 2)), "ALL"]:
        single = not name or name == "ALL"
        hosts = (
            (Sender(source="ALL"),) if name == "ALL" else tuple(draw(st.lists(senders, min_size=int(single), max_size=1 if single else 3)))
        )
        policy = draw(st.none() | st.sampled_from(policy_names)) if policy_names else None
        groups.append(
            SenderGroup(
                name="" if single else name,
                senders=hosts,
                policy=policy,
                behavior=draw(st.sampled_from(Behavior)) if policy is None else None,
                parameters=draw(parameters) if policy is None else PolicyParameters(),
                comment=draw(comments),
            )
        )
    return sorted(policies, key=lambda policy: policy.name.casefold()), groups


@settings(max_examples=150, deadline=None)
@given(tables())
def test_a_written_table_is_read_as_it_was(table: tuple[list[MailFlowPolicy], list[SenderGroup]]) -> None:
    policies, groups = table
    read = parse_host_access(host_access_text(policies, groups))
    assert list(read.policies) == policies
    assert list(read.groups) == groups
    assert read.warnings == ()


pieces = st.sampled_from([*'$:{}()="#\\ \n', "ALL", "ACCEPT", "tls", "10.0.0.1", "G:", "sbrs[", "]"])


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=20).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_host_access(text)
    except TableError as problem:
        assert str(problem).startswith("Error: ")
