"""Questions of policy parameters: DEFAULT, and policies that inherit (listenerconfig.md 5.2, 5.5)."""

from collections.abc import Awaitable, Callable

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model.listeners import Behavior, Listener, MailFlowPolicy, PolicyParameters, ReceivingTls
from appliance_state.names import HOSTNAME_RULES
from commands.listenerconfig.listings import parameters_block, size_text
from tests.support.terminal import CTRL_C

Within = Callable[..., Awaitable[tuple[str, bool]]]
Inbound = Callable[[], Listener]

SIZE = "Enter the default maximum message size. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.\n[10M]> "
SIZE_RULE = "The maximum message size must be at least 1 kilobyte. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes."
CONNECTIONS = "Enter the maximum number of concurrent connections allowed from a single IP address.\n[10]> "
MESSAGES = "Enter the maximum number of messages per connection.\n[10]> "
RECIPIENTS = "Enter the maximum number of recipients per message.\n[50]> "
OVERRIDE = "Do you want to override the hostname in the SMTP banner? [N]> "
HOSTNAME = "Enter the hostname to use in the SMTP banner.\n[]> "
ACCEPTANCE = "Would you like to specify a custom SMTP acceptance response? [N]> "
REJECTION = "Would you like to specify a custom SMTP rejection response? [N]> "
CODE = "Enter the SMTP code to use in the response. {0} is the standard code.\n[{0}]> "
TEXT = "Enter your custom SMTP response.  Press Enter on a blank line to finish.\n"
LIMITING = "Do you want to enable rate limiting per host? [N]> "
HOURLY = "Enter the maximum number of recipients per hour from a remote host.\n[]> "
EXCEEDED = "Would you like to specify a custom SMTP limit exceeded response? [N]> "
GROUPING = "Would you like to group hosts by the similarity of their IP addresses? [N]> "
BITS = "Enter the number of bits of IP address to treat as significant, from 1 to 32.\n[24]> "
TLS = "Do you want to allow encrypted TLS connections?\n1. No\n2. Preferred\n3. Required\n[1]> "
TLS_NOTE = """\
You have chosen to enable TLS. Please use the 'certconfig' command to
ensure that there is a valid certificate configured.
"""
DEMO_NOTE = 'The "Demo" certificate is currently configured. You may use "Demo", but this will not be secure.\n'
VERIFY = "Do you want to verify the client certificate? [N]> "
BLOCK = """\
Default Policy Parameters
==========================
Maximum Message Size: 10M
Maximum Number Of Connections From A Single IP: 10
Maximum Number Of Messages Per Connection: 10
Maximum Number Of Recipients Per Message: 50
Maximum Number Of Recipients Per Hour: Disabled
Allow TLS Connections: Required

There are currently 4 policies defined.
There are currently 5 sender groups.
"""
ENTER = [""] * 9
"""ENTER at every question of DEFAULT before the one about TLS."""


async def test_transcript_of_default(within: Within, inbound: Inbound) -> None:
    before = inbound().hat_default
    transcript, failed = await within("hostaccess", "default", *ENTER, "3", "")
    assert (
        f"[]> default\n\n{SIZE}\n\n{CONNECTIONS}\n\n{MESSAGES}\n\n{RECIPIENTS}\n\n{OVERRIDE}\n\n{ACCEPTANCE}\n\n{REJECTION}\n\n"
        f"{LIMITING}\n\n{GROUPING}\n\n{TLS}3\n{TLS_NOTE}{DEMO_NOTE}\n{VERIFY}\n\n{BLOCK}"
    ) in transcript
    assert "\nTLS: Required\n" in transcript
    assert not failed
    assert inbound().hat_default == evolve(before, tls=ReceivingTls.REQUIRE)


async def test_default_with_every_yes_branch(within: Within, inbound: Inbound) -> None:
    answers = ["20M", "20", "30", "40", "y", "MX.Example.com", "y", "221", "Welcome.", "Be kind.", "", "y", "521", "Go away.", ""]
    answers += ["y", "1000", "y", "451", "Slow down.", "", "y", "16", "preferred", "y"]
    transcript, _ = await within("hostaccess", "default", *answers)
    assert (
        f"{OVERRIDE}y\n\n{HOSTNAME}MX.Example.com\n\n{ACCEPTANCE}y\n\n{CODE.format(220)}221\n\n{TEXT}Welcome.\nBe kind.\n\n"
        f"{REJECTION}y\n\n{CODE.format(554)}521\n\n{TEXT}Go away.\n\n{LIMITING}y\n\n{HOURLY}1000\n\n{EXCEEDED}y\n\n"
        f"{CODE.format(452)}451\n\n{TEXT}Slow down.\n\n{GROUPING}y\n\n{BITS}16\n\n{TLS}preferred\n"
    ) in transcript
    assert (
        """
Default Policy Parameters
==========================
Maximum Message Size: 20M
Maximum Number Of Connections From A Single IP: 20
Maximum Number Of Messages Per Connection: 30
Maximum Number Of Recipients Per Message: 40
SMTP Banner Host Name: mx.example.com
SMTP Banner Code: 221
SMTP Reject Banner Code: 521
Maximum Number Of Recipients Per Hour: 1,000
Significant Bits: 16
Allow TLS Connections: Preferred
Verify Client Certificate: Yes
"""
        in transcript
    )
    full = inbound().hat_default
    assert full == PolicyParameters(
        max_message_size=20971520,
        max_concurrency=20,
        max_msgs_per_session=30,
        max_rcpts_per_msg=40,
        override_hostname="mx.example.com",
        smtp_banner_code=221,
        smtp_banner_text="Welcome.\nBe kind.",
        reject_banner_code=521,
        reject_banner_text="Go away.",
        max_rcpts_per_hour=1000,
        max_rcpts_per_hour_code=451,
        max_rcpts_per_hour_text="Slow down.",
        significant_bits=16,
        tls=ReceivingTls.ON,
        tls_verify=True,
    )
    # ENTER everywhere changes nothing; No everywhere goes back to the standard.
    transcript, _ = await within("hostaccess", "default", *[""] * 20)
    assert transcript.count("[Y]> \n") == 7
    assert inbound().hat_default == full
    await within("hostaccess", "default", *[""] * 4, "n", "n", "n", "n", "n", "no")
    assert inbound().hat_default == PolicyParameters(
        max_message_size=20971520,
        max_concurrency=20,
        max_msgs_per_session=30,
        max_rcpts_per_msg=40,
        smtp_banner_code=220,
        reject_banner_code=554,
        max_rcpts_per_hour=-1,
        max_rcpts_per_hour_code=452,
        max_rcpts_per_hour_text="Too many recipients received this hour",
        significant_bits=0,
        tls=ReceivingTls.OFF,
        tls_verify=False,
    )


async def test_enter_everywhere_changes_nothing(within: Within, session: Session) -> None:
    transcript, _ = await within("hostaccess", "default", *ENTER, "")
    assert f"{TLS}\n\n{BLOCK.replace('Required', 'No')}" in transcript
    assert not session.draft.changed


async def test_banner_without_a_host_name(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("hostaccess", "default", *[""] * 4, "y", "", *[""] * 4, "")
    assert "\nSMTP Banner Host Name:\n" in transcript
    assert inbound().hat_default.override_hostname == ""
    transcript, _ = await within("hostaccess", "default", *[""] * 10, "")
    assert f"{OVERRIDE.replace('[N]', '[Y]')}\n\n{HOSTNAME}\n" in transcript
    assert inbound().hat_default.override_hostname == ""


async def test_after_no_neither_the_lines_nor_the_question_come(within: Within) -> None:
    transcript, _ = await within("hostaccess", "default", *ENTER, "1")
    assert "You have chosen" not in transcript
    assert "client certificate" not in transcript


async def test_the_demo_line_comes_only_while_demo_is_assigned(within: Within) -> None:
    transcript, _ = await within("certificate", "partner.com", "hostaccess", "default", *ENTER, "2", "")
    assert f"{TLS}2\n{TLS_NOTE}\n{VERIFY}\n\n" in transcript


async def test_ctrl_c_at_the_tls_question_leaves_every_default_unchanged(within: Within, session: Session) -> None:
    transcript, failed = await within("hostaccess", "default", "20M", "5", "5", "5", *[""] * 5, last=CTRL_C)
    assert transcript.endswith(f"{TLS}^C\n")
    assert failed
    assert not session.draft.changed


MILLION = "The value must be an integer from 1 to 1000000."
HOURLY_RANGE = "The value must be an integer from 1 to 1000000000."
ACCEPT_CODES = "The value must be an integer from 200 to 299."
REJECT_CODES = "The value must be an integer from 400 to 599."


@pytest.mark.parametrize(
    ("before", "question", "wrong", "text"),
    [
        (0, SIZE, "1023", SIZE_RULE),
        (0, SIZE, "2147483648", SIZE_RULE),
        (0, SIZE, "2048M", SIZE_RULE),
        (0, SIZE, "10G", SIZE_RULE),
        (0, SIZE, "default", SIZE_RULE),
        (1, CONNECTIONS, "0", MILLION),
        (1, CONNECTIONS, "1000001", MILLION),
        (2, MESSAGES, "0", MILLION),
        (2, MESSAGES, "1000001", MILLION),
        (3, RECIPIENTS, "0", MILLION),
        (3, RECIPIENTS, "1000001", MILLION),
        (4, OVERRIDE, "default", "Please answer Yes or No."),
        ([4, "y"], HOSTNAME, "localhost", HOSTNAME_RULES),
        ([5, "y"], CODE.format(220), "199", ACCEPT_CODES),
        ([5, "y"], CODE.format(220), "300", ACCEPT_CODES),
        ([6, "y"], CODE.format(554), "399", REJECT_CODES),
        ([6, "y"], CODE.format(554), "600", REJECT_CODES),
        ([7, "y"], HOURLY, "", "The value cannot be blank."),
        ([7, "y"], HOURLY, "0", HOURLY_RANGE),
        ([7, "y"], HOURLY, "1000000001", HOURLY_RANGE),
        ([7, "y", "5", "y"], CODE.format(452), "399", REJECT_CODES),
        ([7, "y", "5", "y"], CODE.format(452), "600", REJECT_CODES),
        ([8, "y"], BITS, "0", "The value must be an integer from 1 to 32."),
        ([8, "y"], BITS, "33", "The value must be an integer from 1 to 32."),
        (9, TLS, "4", "The value must be an integer from 1 to 3."),
        ([9, "2"], VERIFY, "x", "Please answer Yes or No."),
    ],
)
async def test_refused_answers(
    within: Within, session: Session, before: int | list[int | str], question: str, wrong: str, text: str
) -> None:
    skipped, *more = before if isinstance(before, list) else [before]
    transcript, failed = await within("hostaccess", "default", *[""] * int(skipped), *map(str, more), wrong, last=CTRL_C)
    assert f"{question}{wrong}\n{text}\n\n{question}^C\n" in transcript
    assert failed
    assert not session.draft.changed


@pytest.mark.parametrize(
    ("answers", "field", "value"),
    [
        (["1k"], "max_message_size", 1024),
        (["2147483647"], "max_message_size", 2147483647),
        (["", "1"], "max_concurrency", 1),
        (["", "1000000"], "max_concurrency", 1000000),
        (["", "", "1000000"], "max_msgs_per_session", 1000000),
        (["", "", "", "1000000"], "max_rcpts_per_msg", 1000000),
        ([*[""] * 5, "y", "299", "x", ""], "smtp_banner_code", 299),
        ([*[""] * 6, "y", "400", "x", ""], "reject_banner_code", 400),
        ([*[""] * 7, "y", "1000000000"], "max_rcpts_per_hour", 1000000000),
        ([*[""] * 8, "y", "32"], "significant_bits", 32),
        ([*[""] * 8, "y", "1"], "significant_bits", 1),
    ],
)
async def test_bounds_that_are_accepted(within: Within, inbound: Inbound, answers: list[str], field: str, value: int) -> None:
    # The later questions are answered with ENTER; what they are depends on the answers before.
    extra = {"smtp_banner_code": 4, "reject_banner_code": 3, "max_rcpts_per_hour": 3, "significant_bits": 1}.get(field, 10 - len(answers))
    await within("hostaccess", "default", *answers, *[""] * extra)
    assert getattr(inbound().hat_default, field) == value


async def test_an_empty_text_is_refused(within: Within, session: Session) -> None:
    transcript, _ = await within("hostaccess", "default", *[""] * 5, "y", "", "", last=CTRL_C)
    assert f"{TEXT}\nThe value cannot be blank.\n\n{TEXT}^C\n" in transcript
    assert not session.draft.changed


# -- policies that inherit ------------------------------------------------------------------------------------------


def questions_of_a_policy(shown: str = "Default") -> str:
    """The questions of 5.5 when everything is inherited."""
    rest = "\n".join(
        f"\n{question}\n[{shown}]> "
        for question in (
            "Enter the maximum message size. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.",
            "Enter the maximum number of concurrent connections allowed from a single IP address.",
            "Enter the maximum number of messages per connection.",
            "Enter the maximum number of recipients per message.",
        )
    )
    switches = "\n".join(
        f"\n{question} (Yes/No/Default) [{shown}]> "
        for question in (
            "Do you want to override the hostname in the SMTP banner?",
            "Would you like to specify a custom SMTP acceptance response?",
            "Would you like to specify a custom SMTP rejection response?",
            "Do you want to enable rate limiting per host?",
            "Would you like to group hosts by the similarity of their IP addresses?",
        )
    )
    tls = "\nDo you want to allow encrypted TLS connections?\n1. No\n2. Preferred\n3. Required\n4. Default\n[4]> "
    return f"{rest}\n{switches}\n{tls}"


async def test_a_policy_inherits_everything(within: Within, session: Session) -> None:
    transcript, _ = await within("hostaccess", "edit", "2", "ACCEPTED", "", *[""] * 10)
    assert f"[1]> \n{questions_of_a_policy()}\n\nDefault Policy Parameters\n" in transcript
    assert not session.draft.changed


async def test_a_policy_with_everything_of_its_own_and_back_again(within: Within, inbound: Inbound) -> None:
    edit = ["hostaccess", "edit", "2", "ACCEPTED", ""]
    answers = ["2k", "1", "2", "3", "y", "", "y", "", "Hi.", "", "yes", "", "No.", "", "y", "7", "y", "450", "Full.", "", "y", "", "2", "n"]
    transcript, _ = await within(*edit, *answers)
    assert f"4. Default\n[4]> 2\n{TLS_NOTE}{DEMO_NOTE}\n" in transcript
    assert "Do you want to verify the client certificate? (Yes/No/Default) [Default]> n\n" in transcript
    assert "Would you like to specify a custom SMTP limit exceeded response? (Yes/No/Default) [Default]> y\n" in transcript
    own = PolicyParameters(
        max_message_size=2048,
        max_concurrency=1,
        max_msgs_per_session=2,
        max_rcpts_per_msg=3,
        override_hostname="",
        smtp_banner_code=220,
        smtp_banner_text="Hi.",
        reject_banner_code=554,
        reject_banner_text="No.",
        max_rcpts_per_hour=7,
        max_rcpts_per_hour_code=450,
        max_rcpts_per_hour_text="Full.",
        significant_bits=24,
        tls=ReceivingTls.ON,
        tls_verify=False,
    )
    assert inbound().policy("ACCEPTED") == MailFlowPolicy(name="ACCEPTED", behavior=Behavior.ACCEPT, parameters=own)
    transcript, _ = await within(*edit, *[""] * 20)
    assert "\n[2k]> \n" in transcript
    assert transcript.count("(Yes/No/Default) [Y]> \n") == 6
    assert inbound().policy("ACCEPTED") == MailFlowPolicy(name="ACCEPTED", behavior=Behavior.ACCEPT, parameters=own)
    await within(*edit, *["default"] * 8, "Default", "4")
    assert inbound().policy("ACCEPTED") == MailFlowPolicy(name="ACCEPTED", behavior=Behavior.ACCEPT)


async def test_no_in_a_policy_overrules_the_default(within: Within, inbound: Inbound) -> None:
    edit = ["hostaccess", "edit", "2", "ACCEPTED", ""]
    await within(*edit, *[""] * 4, "n", "n", "n", "n", "n", "No")
    policy = inbound().policy("ACCEPTED")
    assert policy is not None
    assert policy.parameters == PolicyParameters(
        smtp_banner_code=220,
        smtp_banner_text="",
        reject_banner_code=554,
        reject_banner_text="",
        max_rcpts_per_hour=-1,
        significant_bits=0,
        tls=ReceivingTls.OFF,
    )
    transcript, _ = await within(*edit, *[""] * 10)
    assert transcript.count("(Yes/No/Default) [N]> \n") == 4
    assert inbound().policy("ACCEPTED") == policy


async def test_no_cannot_undo_an_overridden_host_name_of_the_default(within: Within, inbound: Inbound) -> None:
    await within("hostaccess", "default", *[""] * 4, "y", "mx.example.com", *[""] * 5)
    transcript, _ = await within("hostaccess", "edit", "2", "ACCEPTED", "", *[""] * 4, "n", "d", *[""] * 5)
    question = "Do you want to override the hostname in the SMTP banner? (Yes/No/Default) [Default]> "
    refusal = "The default policy parameters override the host name. Answer Yes or Default."
    assert f"{question}n\n{refusal}\n\n{question}d\n" in transcript
    assert inbound().policy("ACCEPTED") == MailFlowPolicy(name="ACCEPTED", behavior=Behavior.ACCEPT)


async def test_a_wrong_answer_to_a_question_with_three_answers(within: Within) -> None:
    question = "Do you want to override the hostname in the SMTP banner? (Yes/No/Default) [Default]> "
    transcript, failed = await within("hostaccess", "edit", "2", "ACCEPTED", "", *[""] * 4, "maybe", last=CTRL_C)
    assert transcript.endswith(f"{question}maybe\nPlease answer Yes, No or Default.\n\n{question}^C\n")
    assert failed


@pytest.mark.parametrize(
    ("octets", "text"),
    [(1024, "1k"), (1025, "1025"), (524288, "512k"), (1048576, "1M"), (1049600, "1025k"), (104857600, "100M"), (2147483647, "2147483647")],
)
def test_sizes(octets: int, text: str) -> None:
    assert size_text(octets) == text


def test_thousands_in_the_block(inbound: Inbound) -> None:
    listener = evolve(inbound(), hat_default=evolve(inbound().hat_default, max_concurrency=1000000, max_rcpts_per_msg=1000))
    block = parameters_block(listener)
    assert "Maximum Number Of Connections From A Single IP: 1,000,000\n" in block
    assert "Maximum Number Of Recipients Per Message: 1,000\n" in block
