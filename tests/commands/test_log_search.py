"""grep, findevent, rollovernow at a real appliance with a real message in its logs (operations.md 6.2, 6.3, 8)."""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.live import Place, live

NOTHING_FOUND = "No results were found. Use another regular expression(s) to search.\n"
NO_MESSAGE = "No matching messages were found.\n"


ENDS = {f"{text} {number}{end}" for number in (1, 2) for text, end in (("ICID", " close"), ("Message finished MID", " done"))}
"""last lines of both messages and connections, in no certain order"""


def told_to_the_end(screen: str) -> bool:
    return {line.partition("Info: ")[2] for line in screen.splitlines()[-2:]} == {"ICID 1 close", "Message finished MID 1 done"}


def send(port: int, recipient: str, subject: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.sendmail("ann@client.test", [recipient], f"Subject: {subject}\r\n\r\nx\r\n")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Two messages have been received, discarded by a route; MIDs 1 and 2."""
    async with live(tmp_path) as here:
        await here.person().done(
            "listenerconfig new InboundMail public Management smtp --accept=a.test", "smtproutes new a.test /dev/null", 'commit "in" Y'
        )
        for recipient, subject in (("bob@a.test", "Invoice"), ("eve@a.test", "Re: Invoice")):
            await asyncio.to_thread(send, here.port("InboundMail"), recipient, subject)
        async with asyncio.timeout(10):
            while ENDS - {line.partition("Info: ")[2] for line in here.lines("mail_logs")}:
                await asyncio.sleep(0.01)
        yield here


async def test_grep_by_batch(place: Place) -> None:
    admin = place.person()
    shown, failed = await admin.batch('grep -e "MID 1 " -e "MID 2 " mail_logs')
    assert not failed and len(shown.splitlines()) > 10
    assert {line.partition("MID ")[2][:1] for line in shown.splitlines()} == {"1", "2"}
    assert await admin.batch("grep nosuchthing mail_logs") == (NOTHING_FOUND, False)
    assert await admin.batch("grep invoice mail_logs") == (NOTHING_FOUND, False)
    assert len((await admin.batch("grep -i invoice mail_logs"))[0].splitlines()) == 2
    everything = len(place.lines("mail_logs"))
    assert len((await admin.batch("grep -iv invoice mail_logs"))[0].splitlines()) == everything - 2
    assert len((await admin.batch('grep -C 1 "Subject .Invoice" MAIL_LOGS'))[0].splitlines()) == 3
    assert len((await admin.batch("grep -C 1000 Invoice mail_logs"))[0].splitlines()) == everything


REFUSED = [
    ("grep x nosuch", 'There is no log named "nosuch".'),
    ("grep ( mail_logs", "That value is not a valid regular expression."),
    (f"grep {'x' * 1001} mail_logs", "That value is not a valid regular expression."),
    ("grep mail_logs", "Invalid arguments when processing grep:\nMissing argument: <log>."),
    ("grep -q x mail_logs", "Invalid arguments when processing grep:\nUnknown option.\n: '-q'"),
    ("grep x mail_logs -e", "Invalid arguments when processing grep:\nMissing argument: <regex>."),
    ("grep -C x y mail_logs", "The value must be an integer from 0 to 1000."),
    ("findevent -t x nosuch", 'There is no log named "nosuch".'),
    ("findevent -t x cli_logs", 'The log "cli_logs" holds no message events.'),
    ("findevent -t ( mail_logs", "That value is not a valid regular expression."),
    ("findevent -m x mail_logs", "The value must be an integer from 1 to 9223372036854775807."),
    ("findevent mail_logs", "Invalid arguments when processing findevent:\nMissing argument: <-f, -s, -t or -m>."),
    ("findevent -t x -f y mail_logs", "Invalid arguments when processing findevent:\nOnly one search is possible.\n: '-f'"),
    ("rollovernow nosuch", 'There is no log named "nosuch".'),
]


async def test_batch_lines_that_fail(place: Place) -> None:
    admin = place.person()
    for line, output in REFUSED:
        assert await admin.batch(line) == (f"{output}\n", True), line


async def test_grep_by_dialog(place: Place) -> None:
    shown = await place.person().type("grep", "mail_logs", "(", "invoice", "", "", "", "y")
    assert shown.startswith('Currently configured logs:\n1. "authentication" Type: "Authentication Logs" Retrieval: Manual Download\n')
    questions = (
        "Enter the number of the log you wish to grep.\n[]> mail_logs\n",
        "Enter the regular expression to grep.\n[]> (\nThat value is not a valid regular expression.\n",
        "Enter the regular expression to grep.\n[]> invoice\n",
        "Do you want this search to be case insensitive? [Y]> \n",
        "Do you want to search for non-matching lines? [N]> \n",
        "Do you want to tail the logs? [N]> \n",
        "Do you want to paginate the output? [N]> y\n",
    )
    rest = "\n".join(questions)
    assert rest in shown
    assert len(shown.partition(rest)[2].strip().splitlines()) == 2


async def test_grep_that_follows(place: Place) -> None:
    admin = place.person()
    following = asyncio.create_task(admin.batch("grep -t Newcomer mail_logs"))
    await asyncio.sleep(0)
    output, failed = await following  # a pipe whose input has ended: what is there is shown, then it ends
    assert (output.rstrip("\n") + "\n", failed) == (NOTHING_FOUND, False)


async def test_findevent_by_batch(place: Place) -> None:
    admin = place.person()
    shown, failed = await admin.batch("findevent -t bob@a mail_logs")
    texts = [line.partition(": ")[2] for line in shown.splitlines()]
    assert not failed
    assert texts[0].startswith("New SMTP ICID 1 ") and told_to_the_end(shown)
    assert 'MID 1 RID [0] discarded by SMTP route "/dev/null"' in texts
    assert not [text for text in texts if "MID 2" in text or "ICID 2" in text]
    assert await admin.batch("findevent -m 1 mail_logs") == (shown, False)
    both = (await admin.batch("findevent -i -s INVOICE mail_logs"))[0]
    assert both.split("\n\n")[0] + "\n" == shown and len(both.split("\n\n")) == 2
    for line in ("findevent -s INVOICE mail_logs", "findevent -m 77 mail_logs", "findevent -f nobody mail_logs"):
        assert await admin.batch(line) == (NO_MESSAGE, False)


async def test_findevent_by_dialog(place: Place) -> None:
    shown = await place.person().type("findevent", "3", "Invoice", "2", "", "2")
    assert re.search(
        r"""Currently configured logs:
    Log Name              Log Type                      Retrieval           Interval
-{81}
1\. error_logs             IronPort Text Mail Logs       Manual Download     None
2\. mail_logs              IronPort Text Mail Logs       Manual Download     None

Enter the number of the log you wish to use for message tracking\.
\[\]> 2

Please choose which set of logs to search:
1\. All available log files
2\. Select log files by date list
3\. Current log file
\[3\]> 

The following matching message IDs were found\.  Please choose one to
show additional log information:
1\. MID 1 \(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\) Invoice
2\. MID 2 \(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\) Re: Invoice
\[1\]> 2

\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} Info: New SMTP ICID 2 """,
        shown,
    ), shown
    single = await place.person().type("findevent", "Search by envelope TO", "eve@", "mail_logs", "1")
    assert single.rpartition("[3]> 1\n\n")[2] == shown.rpartition("[1]> 2\n\n")[2], "a single match is shown directly"


async def test_rolled_files_are_found_by_date_and_in_all(place: Place) -> None:
    admin = place.person()
    assert (await admin.type("rollovernow", "8")).endswith(
        '7. "system_logs" Type: "System Logs" Retrieval: Manual Download\n8. All Logs\nWhich log would you like to roll over?\n[]> 8\nLog files successfully rolled over.\n'
    )
    await admin.done("rollovernow mail_logs", "rollovernow all")
    assert len(place.lines("mail_logs")) == 3, "an empty file is not rolled"
    by_mid = ("findevent", "2", "1", "mail_logs")
    assert (await admin.type(*by_mid, "3")).endswith(NO_MESSAGE)
    everything = await admin.type(*by_mid, "1")
    assert told_to_the_end(everything)
    dated = await admin.type(*by_mid, "2", "1")
    assert re.search(
        r"\n1\. \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} mail\.@\d{8}T\d{6}\.s\n2\. .* mail\.current\nEnter the numbers", dated
    ), dated
    assert told_to_the_end(dated)
