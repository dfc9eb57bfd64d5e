"""listenerconfig > EDIT > RCPTACCESS: dialog and file (listenerconfig.md 6)."""

import string
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.sessions import Session
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import Access, Listener, RatEntry
from commands.listenerconfig.rat_text import CODES, parse_recipient_access, recipient_access_text
from tests.support.terminal import CTRL_C

Within = Callable[..., Awaitable[tuple[str, bool]]]
Inbound = Callable[[], Listener]

STATUS = """\
Recipient Access Table

There are currently 2 recipients.
Default Access: REJECT
"""
MENU = """\
Choose the operation you want to perform:
- NEW - Create a new entry.
- EDIT - Modify an entry.
- DELETE - Remove an entry.
- PRINT - Display the table.
- IMPORT - Import a table from a file.
- EXPORT - Export the table to a file.
- CLEAR - Remove all entries.
[]> """
FORMS = """\
Hostnames such as "example.com" and "[1.2.3.4]" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed.
Separate multiple addresses with commas.
[]> """
ADDRESS_RULE = """\
A Recipient Access Table address can be one of the following:
Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed."""
ADDRESS = f"Enter the recipient address for this entry.\n{FORMS}"
ACTION = "Select the action to apply to this address:\n1. Accept\n2. Reject\n"
RESPONSE = "Would you like to specify a custom SMTP response? "
CODE = "Enter the SMTP code to use in the response. {0} is the standard code.\n[{0}]> "
TEXT = "Enter your custom SMTP response.  Press Enter on a blank line to finish.\n"
BYPASS = "Would you like to bypass receiving control for this entry? "


async def test_transcript_of_new(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("rcptaccess", "new", "postmaster@example.com", "1", "y", "", "we are here", "", "")
    assert transcript.startswith(
        f"\n{STATUS}\n{MENU}new\n\n{ADDRESS}postmaster@example.com\n\n{ACTION}[1]> 1\n\n{RESPONSE}[N]> y\n\n"
        f"{CODE.format(250)}\n\n{TEXT}we are here\n\n{BYPASS}[N]> \n\n{STATUS.replace('2 rec', '3 rec')}\n{MENU}\n"
    )
    assert inbound().rat[-2:] == (
        RatEntry(address="postmaster@example.com", response_code=250, response_text="we are here"),
        RatEntry(address="ALL", access=Access.REJECT),
    )


async def test_several_addresses_with_one_answer_each(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("rcptaccess", "new", ".A.test, joe@, [1.2.3.4], .a.TEST", "reject", "y", "", "no", "more", "", "print")
    assert BYPASS not in transcript
    assert CODE.format(550) in transcript
    assert inbound().rat[2:5] == tuple(
        RatEntry(address=address, access=Access.REJECT, response_code=550, response_text="no\nmore")
        for address in (".a.test", "joe@", "[1.2.3.4]")
    )
    assert (
        "[]> print\n\nexample.com ACCEPT\nexample.net ACCEPT\n"
        '.a.test REJECT (code=550, text="no\\nmore")\njoe@ REJECT (code=550, text="no\\nmore")\n'
        '[1.2.3.4] REJECT (code=550, text="no\\nmore")\nALL REJECT\n\n'
    ) in transcript


@pytest.mark.parametrize(
    ("before", "question", "wrong", "text"),
    [
        ([], ADDRESS, "", "The value cannot be blank."),
        ([], ADDRESS, "localhost", ADDRESS_RULE),
        ([], ADDRESS, "a.test,", ADDRESS_RULE),
        ([], ADDRESS, "ALL", ADDRESS_RULE),
        ([], ADDRESS, "a.test, EXAMPLE.com", 'The address "example.com" is already in the table.'),
        (["a.test"], f"{ACTION}[1]> ", "3", "The value must be an integer from 1 to 2."),
        (["a.test", "", "y"], CODE.format(250), "199", "The value must be an integer from 200 to 299."),
        (["a.test", "", "y"], CODE.format(250), "300", "The value must be an integer from 200 to 299."),
        (["a.test", "2", "y"], CODE.format(550), "399", "The value must be an integer from 400 to 599."),
        (["a.test", "2", "y"], CODE.format(550), "600", "The value must be an integer from 400 to 599."),
        (["a.test", "2", "y", ""], TEXT, "", "The value cannot be blank."),
        (["a.test", "", ""], f"{BYPASS}[N]> ", "x", "Please answer Yes or No."),
    ],
)
async def test_refused_answers_of_new(within: Within, session: Session, before: list[str], question: str, wrong: str, text: str) -> None:
    transcript, failed = await within("rcptaccess", "new", *before, wrong, last=CTRL_C)
    assert f"{question}{wrong}\n{text}\n\n{question}^C\n" in transcript
    assert failed
    assert not session.draft.changed


async def test_edit_shows_the_current_values(within: Within, inbound: Inbound) -> None:
    await within("rcptaccess", "edit", "EXAMPLE.com", "", "y", "251", "here", "", "y")
    assert inbound().rat[0] == RatEntry(address="example.com", response_code=251, response_text="here", bypass_receiving_control=True)
    question = "Enter the address to edit.\n[]> "
    transcript, _ = await within("rcptaccess", "edit", "nosuch", "example.com", "", "", "", "", "")
    assert f'{question}nosuch\nThe address "nosuch" is not in the table.\n\n{question}example.com\n\n{ACTION}[1]> \n\n' in transcript
    assert f"{RESPONSE}[Y]> \n" in transcript
    assert "\n[251]> \n" in transcript
    assert f"{BYPASS}[Y]> \n" in transcript
    assert inbound().rat[0].response_text == "here"
    transcript, _ = await within("rcptaccess", "edit", "example.com", "reject", "")
    assert f"{RESPONSE}[N]> \n" in transcript
    assert inbound().rat[0] == RatEntry(address="example.com", access=Access.REJECT)


async def test_all_is_edited_but_not_deleted(within: Within, inbound: Inbound) -> None:
    question = "Enter the address to delete.\n[]> "
    transcript, _ = await within("rcptaccess", "delete", "all", "", "edit", "All", "accept", "", "", "delete", "example.net")
    assert f'{question}all\nThe entry "ALL" cannot be deleted.\n\n{question}\n' in transcript
    assert "Default Access: ACCEPT\n" in transcript
    assert inbound().rat == (RatEntry(address="example.com"), RatEntry(address="ALL"))


async def test_clear(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("rcptaccess", "clear", "", "delete")
    assert "What access should the default entry have?\n1. Accept\n2. Reject\n[2]> \n" in transcript
    assert "There are currently 0 recipients.\n" in transcript
    assert 'Unknown option "delete".' in transcript
    assert inbound().rat == (RatEntry(address="ALL", access=Access.REJECT),)
    await within("rcptaccess", "clear", "1")
    assert inbound().rat == (RatEntry(address="ALL"),)


async def test_export_and_import(within: Within, inbound: Inbound, tmp_path: Path) -> None:
    await within("rcptaccess", "new", "postmaster@example.com", "", "y", "", 'we "are" here', "", "y")
    before = inbound()
    transcript, _ = await within("rcptaccess", "export", "in.rat", "clear", "", "import", "in.rat")
    assert "Enter a name for the exported file:\n[]> in.rat\nExport completed.\n\n" in transcript
    assert (tmp_path / "in.rat").read_text() == (
        "# File exported by the CLI at 20261124T090000\n"
        "example.com ACCEPT\nexample.net ACCEPT\n"
        'postmaster@example.com ACCEPT (code=250, text="we \\"are\\" here", bypass=yes)\nALL REJECT\n'
    )
    assert "Enter the name of the file to import:\n[]> in.rat\n4 entries imported successfully.\n\n" in transcript
    assert inbound() == before


async def test_import_is_all_or_nothing(within: Within, session: Session, tmp_path: Path) -> None:
    (tmp_path / "bad.rat").write_text("a.test ACCEPT\nb.test PERHAPS\n")
    transcript, failed = await within("rcptaccess", "import", "bad.rat")
    assert '[]> bad.rat\nError: Line 2: unknown access "PERHAPS".\n\n' in transcript
    assert failed
    assert not session.draft.changed


# -- the file -------------------------------------------------------------------------------------------------------


def test_lines_as_specified() -> None:
    text = """\
# File exported by the CLI at 20260530T220526
postmaster@example.com ACCEPT (code=250, text="we are here", bypass=yes)
.example.com ACCEPT
ALL REJECT"""
    table = parse_recipient_access(text)
    assert table == (
        RatEntry(address="postmaster@example.com", response_code=250, response_text="we are here", bypass_receiving_control=True),
        RatEntry(address=".example.com"),
        RatEntry(address="ALL", access=Access.REJECT),
    )
    assert recipient_access_text(table) == text.split("\n", 1)[1]


def test_all_is_appended_when_it_is_missing() -> None:
    assert parse_recipient_access("  a.test   accept # for now\n\n") == (
        RatEntry(address="a.test"),
        RatEntry(address="ALL", access=Access.REJECT),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a.test", "Error: Line 1: expected an address and ACCEPT or REJECT."),
        ("a.test ACCEPT (code=250", "Error: Line 1: expected an address and ACCEPT or REJECT."),
        ("\na.test FOO", 'Error: Line 2: unknown access "FOO".'),
        ("localhost ACCEPT", 'Error: Line 1: "localhost" is not a valid address.'),
        ("a.test ACCEPT (code=199)", 'Error: Line 1: invalid "code" value: 199.'),
        ("a.test ACCEPT (code=300)", 'Error: Line 1: invalid "code" value: 300.'),
        ("a.test REJECT (code=399)", 'Error: Line 1: invalid "code" value: 399.'),
        ("a.test REJECT (code=600)", 'Error: Line 1: invalid "code" value: 600.'),
        ("a.test ACCEPT (bypass=maybe)", 'Error: Line 1: invalid "bypass" value: maybe.'),
        ("a.test ACCEPT (colour=red)", 'Error: Line 1: unknown parameter "colour".'),
        ("a.test ACCEPT (code)", 'Error: Line 1: unexpected "code".'),
        ("a.test ACCEPT\nA.test ACCEPT", 'Error: Line 2: the address "a.test" is already in the table.'),
        ("ALL ACCEPT\na.test ACCEPT", 'Error: The table must end with an "ALL" entry.'),
    ],
)
def test_errors_of_the_file(text: str, error: str) -> None:
    with pytest.raises(TableError) as problem:
        parse_recipient_access(text)
    assert str(problem.value) == error


texts = st.text(string.printable.translate({code: None for code in range(32)}) + "\nü", min_size=1, max_size=30)


@st.composite
def tables(draw: st.DrawFn) -> tuple[RatEntry, ...]:
    addresses = draw(st.lists(st.sampled_from(["a.test", ".a.test", "[1.2.3.4]", "joe@", "joe@a.test", "joe@[1.2.3.4]"]), unique=True))
    entries = []
    for address in [*addresses, "ALL"]:
        access = draw(st.sampled_from(Access))
        entries.append(
            RatEntry(
                address=address,
                access=access,
                response_code=draw(st.none() | st.integers(*CODES[access])),
                response_text=draw(st.none() | texts),
                bypass_receiving_control=draw(st.booleans()),
            )
        )
    return tuple(entries)


@given(tables())
def test_a_written_table_is_read_as_it_was(table: tuple[RatEntry, ...]) -> None:
    assert parse_recipient_access(recipient_access_text(table)) == table
