"""listenerconfig > EDIT > MASQUERADE: dialog and file (listenerconfig.md 7)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import Listener, MasqueradedField, Masquerading
from commands.listenerconfig.masquerade import masquerade_text, parse_masquerade, status_text

Within = Callable[..., Awaitable[tuple[str, bool]]]
Inbound = Callable[[], Listener]

EMPTY = """\
Domain Masquerading Table
There are currently 0 entries.
Masqueraded headers: From, To, CC

Choose the operation you want to perform:
- NEW - Create a new entry.
- IMPORT - Import entries from a file.
- CONFIG - Configure masqueraded headers.
[]> """
ONE = """\
Domain Masquerading Table
There are currently 1 entries.
Masqueraded headers: From, To, CC

Choose the operation you want to perform:
- NEW - Create a new entry.
- DELETE - Remove an entry.
- PRINT - Display all entries.
- IMPORT - Import entries from a file.
- EXPORT - Export entries to a file.
- CONFIG - Configure masqueraded headers.
- CLEAR - Remove all entries.
[]> """
ORIGINAL = "Enter the source address or domain to masquerade.\n[]> "
NEW = "Enter the masqueraded address or domain.\n[]> "
INVALID = "That value is not valid."
COMPLETE = "The new address must be a complete email address."
ADD = ["new", "@.inside.test", "@example.com"]


async def test_transcript_of_new(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("masquerade", *ADD)
    assert transcript.startswith(f"\n{EMPTY}new\n\n{ORIGINAL}@.inside.test\n\n{NEW}@example.com\n\n{ONE}\n\nName: InboundMail\n")
    assert inbound().masquerade == (Masquerading(original="@.inside.test", new="@example.com"),)


@pytest.mark.parametrize(
    ("original", "new"),
    [
        ("Joe", "ann@example.com"),
        ("joe@Inside.test", "ann@example.com"),
        ("@inside.test", "@Example.com"),
        ("@.inside.test", "@example.com"),
        ("@", "@example.com"),
    ],
)
async def test_forms(within: Within, inbound: Inbound, original: str, new: str) -> None:
    transcript, failed = await within("masquerade", "new", original, new)
    assert not failed, transcript
    assert [(e.original.lower(), e.new.lower()) for e in inbound().masquerade] == [(original.lower(), new.lower())]


@pytest.mark.parametrize("answer", ["inside.test", "joe@.inside.test", "joe@", "@inside", "a b", "joe@a@b.test"])
async def test_what_is_no_source(within: Within, answer: str) -> None:
    transcript, failed = await within("masquerade", "new", answer, *ADD[1:])
    if answer == "inside.test":
        assert not failed or INVALID in transcript
    else:
        assert failed and f"{answer}\n{INVALID}\n\n{ORIGINAL}" in transcript


@pytest.mark.parametrize(
    ("original", "new", "text"),
    [
        ("joe", "@example.com", COMPLETE),
        ("joe@a.test", "@b.test", COMPLETE),
        ("@a.test", "ann@b.test", INVALID),
        ("@", "@.b.test", INVALID),
    ],
)
async def test_sides_that_do_not_go_together(within: Within, original: str, new: str, text: str) -> None:
    right = "ann@good.test" if text is COMPLETE else "@good.test"
    transcript, failed = await within("masquerade", "new", original, new, right)
    assert failed and f"{new}\n{text}\n\n{NEW}{right}\n" in transcript


async def test_print_delete_clear_and_duplicates(within: Within, inbound: Inbound, session: Session) -> None:
    await within("masquerade", *ADD)
    transcript, _ = await within("masquerade", "new", "@.INSIDE.test", "joe", "ann@b.test", "print", "delete", "nobody", "@.inside.test")
    assert 'The address "@.inside.test" is already in the table.' in transcript
    assert "\n@.inside.test --> @example.com\njoe --> ann@b.test\n\n" in transcript
    assert '[]> nobody\nThe address "nobody" is not in the table.\n' in transcript
    assert [entry.original for entry in inbound().masquerade] == ["joe"]
    transcript, _ = await within("masquerade", "clear", "", "clear", "y")
    assert "Are you sure you want to remove all masquerading entries? [N]> y\n" in transcript
    assert inbound().masquerade == ()


async def test_config(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("masquerade", "config", "y", "", "n", "", "y")
    assert (
        "[]> config\n\nDo you wish to masquerade Envelope Sender? [N]> y\n\nDo you wish to masquerade From headers? [Y]> \n\n"
        "Do you wish to masquerade To headers? [Y]> n\n\nDo you wish to masquerade CC headers? [Y]> \n\n"
        "Do you wish to masquerade Reply-To headers? [N]> y\n" in transcript
    )
    assert "Masqueraded headers: Envelope Sender, From, CC, Reply-To\n" in transcript
    fields = MasqueradedField
    assert inbound().masquerade_headers == {fields.ENVELOPE_SENDER, fields.FROM, fields.CC, fields.REPLY_TO}
    assert status_text(evolve(inbound(), masquerade_headers=frozenset())).endswith("Masqueraded headers: None")


async def test_export_and_import(within: Within, inbound: Inbound, session: Session, tmp_path: Path) -> None:
    await within("masquerade", *ADD, "new", "joe", "ann@b.test", "export", "masks", "clear", "y")
    assert (tmp_path / "masks").read_text() == "@.inside.test @example.com\njoe ann@b.test\n"
    transcript, _ = await within("masquerade", "import", "masks")
    assert "2 entries imported successfully." in transcript
    assert masquerade_text(inbound().masquerade) == (tmp_path / "masks").read_text()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("one\n", "Error: Line 1: expected a source and a masqueraded address or domain."),
        ("# note\n@a @b.test\n", 'Error: Line 2: "@a" is not a valid address or domain.'),
        ("joe @b.test\n", f'Error: Line 1: "@b.test": {COMPLETE}'),
        ("@a.test @b.test\n@A.test @c.test\n", 'Error: Line 2: the address "@a.test" is already in the table.'),
    ],
)
def test_files_with_errors(text: str, error: str) -> None:
    with pytest.raises(TableError) as problem:
        parse_masquerade(text)
    assert str(problem.value) == error
