"""listenerconfig > EDIT > DOMAINMAP: dialog and file (listenerconfig.md 7)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.hat_text import TableError
from appliance_state.model.listeners import DomainMapping, Listener
from commands.listenerconfig.rat_text import domain_map_text, parse_domain_map
from tests.support.terminal import CTRL_C

Within = Callable[..., Awaitable[tuple[str, bool]]]
Inbound = Callable[[], Listener]

EMPTY = """\
Domain Map Table
There are currently 0 Domain Mappings.
Domain Mapping is: disabled

Choose the operation you want to perform:
- NEW - Create a new entry.
- IMPORT - Import domain mappings from a file.
[]> """
ONE = """\
Domain Map Table
There are currently 1 Domain Mappings.
Domain Mapping is: enabled

Choose the operation you want to perform:
- NEW - Create a new entry.
- EDIT - Modify an entry.
- DELETE - Remove an entry.
- PRINT - Display all domain mappings.
- IMPORT - Import domain mappings from a file.
- EXPORT - Export domain mappings to a file.
- CLEAR - Clear all domain mappings.
[]> """
ORIGINAL = """\
Enter the original domain for this entry.
Domains such as "@example.com" are allowed.
Partial hostnames such as "@.example.com" are allowed.
Email addresses such as "test@example.com" and "test@.example.com" are also allowed.
[]> """
NEW = """\
Enter the new domain for this entry.
The new domain may be a fully qualified such as "@example.domain.com" or a complete email address such as "test@example.com"
"""
INVALID = "That value is not valid."
ADD = ["new", "@.oldcompanyname.com", "@example.com"]


async def test_transcript_of_new(within: Within, inbound: Inbound) -> None:
    transcript, _ = await within("domainmap", *ADD)
    assert transcript.startswith(
        f"\n{EMPTY}new\n\n{ORIGINAL}@.oldcompanyname.com\n\n{NEW}[]> @example.com\n\nDomain mapping added.\n\n{ONE}\n\nName: InboundMail\n"
    )
    assert "Domain map: enabled\n" in transcript
    assert inbound().domain_map == (DomainMapping(original="@.oldcompanyname.com", new="@example.com"),)


@pytest.mark.parametrize(
    ("before", "question", "wrong", "text"),
    [
        ([], ORIGINAL, "", "The value cannot be blank."),
        ([], ORIGINAL, "example.com", INVALID),
        ([], ORIGINAL, "@localhost", INVALID),
        ([], ORIGINAL, "@.OLDcompanyname.com", 'The domain "@.oldcompanyname.com" is already in the table.'),
        (["@a.test"], f"{NEW}[]> ", "", "The value cannot be blank."),
        (["@a.test"], f"{NEW}[]> ", "@.b.test", INVALID),
        (["joe@a.test"], f"{NEW}[]> ", "@b.test", "The new address must be a complete email address."),
        (["joe@.a.test"], f"{NEW}[]> ", "@b.test", "The new address must be a complete email address."),
    ],
)
async def test_refused_answers_of_new(within: Within, session: Session, before: list[str], question: str, wrong: str, text: str) -> None:
    await within("domainmap", *ADD)
    stored = session.draft.config
    transcript, failed = await within("domainmap", "new", *before, wrong, last=CTRL_C)
    assert f"{question}{wrong}\n{text}\n\n{question}^C\n" in transcript
    assert failed
    assert session.draft.config is stored


async def test_a_domain_may_be_mapped_to_an_address(within: Within, inbound: Inbound) -> None:
    await within("domainmap", "new", "@A.test", "Joe@B.test", "new", "Ann@a.test", "ann@b.test")
    assert inbound().domain_map == (
        DomainMapping(original="@a.test", new="Joe@b.test"),
        DomainMapping(original="Ann@a.test", new="ann@b.test"),
    )


async def test_edit_print_delete(within: Within, inbound: Inbound) -> None:
    edit = "Enter the original domain to edit.\n[]> "
    transcript, _ = await within(
        "domainmap", *ADD, "edit", "@nosuch.test", "@.oldcompanyname.com", "joe@example.com", "print", "edit", "@.OLDCOMPANYNAME.com", ""
    )
    assert f'{edit}@nosuch.test\nThe domain "@nosuch.test" is not in the table.\n\n{edit}@.old' in transcript
    assert f"{NEW}[@example.com]> joe@example.com\n" in transcript
    assert f"[]> print\n\n@.oldcompanyname.com --> joe@example.com\n\n{ONE}" in transcript
    assert f"{NEW}[joe@example.com]> \n" in transcript
    transcript, _ = await within("domainmap", "delete", "@.oldcompanyname.com")
    assert f"Enter the original domain to delete.\n[]> @.oldcompanyname.com\n\n{EMPTY}" in transcript
    assert inbound().domain_map == ()


async def test_clear(within: Within, inbound: Inbound) -> None:
    question = "Are you sure you want to remove all domain mappings? [N]> "
    transcript, _ = await within("domainmap", *ADD, "clear", "", "clear", "y")
    assert f"{question}\n\n{ONE}clear\n\n{question}y\n\n{EMPTY}" in transcript
    assert inbound().domain_map == ()


async def test_export_and_import(within: Within, inbound: Inbound, tmp_path: Path) -> None:
    await within("domainmap", *ADD, "new", "joe@a.test", "joe@b.test")
    before = inbound().domain_map
    transcript, _ = await within("domainmap", "export", "domains", "clear", "y", "import", "domains")
    assert "[]> domains\nExport completed.\n\n" in transcript
    assert (tmp_path / "domains").read_text() == "@.oldcompanyname.com @example.com\njoe@a.test joe@b.test\n"
    assert "[]> domains\n2 entries imported successfully.\n\n" in transcript
    assert inbound().domain_map == before


async def test_import_is_all_or_nothing(within: Within, session: Session, tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("@a.test @b.test\n@c.test\n")
    transcript, failed = await within("domainmap", "import", "domains")
    assert "[]> domains\nError: Line 2: expected an original and a new domain.\n\n" in transcript
    assert failed
    assert not session.draft.changed


async def test_there_are_at_most_20000_mappings(within: Within, session: Session, inbound: Inbound) -> None:
    mappings = [DomainMapping(original=f"@d{n}.test", new="@a.test") for n in range(20001)]
    listeners = session.draft.config.listeners
    session.draft.config = session.draft.config.with_(listeners=listeners.put(evolve(inbound(), domain_map=tuple(mappings[:20000]))))
    transcript, _ = await within("domainmap", "new")
    assert "[]> new\nThere is a maximum of 20000 domain mappings.\n\n" in transcript
    assert len(parse_domain_map(domain_map_text(mappings[:20000]))) == 20000
    with pytest.raises(TableError, match=r"^Error: There is a maximum of 20000 domain mappings\.$"):
        parse_domain_map(domain_map_text(mappings))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("@a.test @b.test @c.test", "Error: Line 1: expected an original and a new domain."),
        ("# old\na.test @b.test", 'Error: Line 2: "a.test" is not a valid domain.'),
        ("@a.test @.b.test", 'Error: Line 1: "@.b.test" is not a valid domain.'),
        ("joe@a.test @b.test", "Error: Line 1: The new address must be a complete email address."),
        ("@a.test @b.test\n@A.test @c.test", 'Error: Line 2: the domain "@a.test" is already in the table.'),
    ],
)
def test_errors_of_the_file(text: str, error: str) -> None:
    with pytest.raises(TableError) as problem:
        parse_domain_map(text)
    assert str(problem.value) == error


def test_comments_and_blanks_of_the_file() -> None:
    assert parse_domain_map("\n# all of them\n  @a.test\t@b.test  # moved\r\n") == (DomainMapping(original="@a.test", new="@b.test"),)
