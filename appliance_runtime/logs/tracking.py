"""Which lines of mail_logs tell the story of a message (operations.md 6.3; logs-and-alerts.md 2, 3).

A message is followed from the connection that brought it (ICID) over its own lines (MID) to the connections that carried
or tried it (DCID), and on to the bounces made from it. Numbers are never used twice, so a number means one thing in all
files of an appliance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from attrs import define, field, frozen

Part = Literal["from", "to", "subject"]

_DATED = re.compile(r"(?P<date>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}) \w+: (?P<text>.*)", re.DOTALL)
_PARTS: Mapping[Part, re.Pattern[str]] = {
    "from": re.compile(r"MID (\d+) ICID \d+ From: <(.*)>$"),
    "to": re.compile(r"MID (\d+) ICID \d+ RID \d+ To: <(.*)>$"),
    "subject": re.compile(r'MID (\d+) Subject "(.*)"$'),
}
_START = re.compile(r"Start MID (\d+) ICID (\d+)$")
_BOUNCE = re.compile(r"MID (\d+) was generated for bounce of MID (\d+)$")
_MESSAGE = re.compile(r"^(?:[A-Z][A-Za-z ]*:? )?(?:DCID:? \d+ |ICID \d+ )?MID (\d+)\b|^Message (\d+) to RID ")
_INCOMING = re.compile(r"^(?:New SMTP )?ICID (\d+) (?!MID )")
_OUTGOING = re.compile(r"^(?:New SMTP |Connection Error: )?DCID (\d+) (?!MID )")
_CARRIED = re.compile(r"\bDCID:? (\d+) MID (\d+)\b")
_END_OF_INCOMING = re.compile(r"^ICID \d+ (?:lost|close)$")


@frozen
class Found:
    """A message in the files. `date`: as its `Start MID` line has it."""

    mid: int
    date: str
    subject: str


def find_messages(lines: Iterable[str], part: Part, matches: Callable[[str], object]) -> list[Found]:
    """Messages whose envelope sender, a recipient, or subject matches, by the order in which they began."""
    begun: dict[int, str] = {}
    subjects: dict[int, str] = {}
    hits: set[int] = set()
    for line in lines:
        if not (dated := _DATED.match(line)):
            continue
        date, text = dated.group("date", "text")
        if start := _START.match(text):
            begun[int(start[1])] = date
        if subject := _PARTS["subject"].match(text):
            subjects[int(subject[1])] = subject[2]
        if (value := _PARTS[part].match(text)) and matches(value[2]):
            hits.add(int(value[1]))
            begun.setdefault(int(value[1]), date)
    return [Found(mid, date, subjects.get(mid, "")) for mid, date in begun.items() if mid in hits]


@define
class _Story:
    """What belongs to one message; filled by the first reading, used by the second."""

    mids: set[int]
    icids: dict[int, int] = field(factory=dict)
    """number of the line with which the message of that connection began, by ICID"""
    dcids: set[int] = field(factory=set)


def _read_stories(lines: Iterable[str], mids: Iterable[int]) -> dict[int, _Story]:
    stories = {mid: _Story({mid}) for mid in mids}
    owners = {mid: [story] for mid, story in stories.items()}
    for number, line in enumerate(lines):
        if not (dated := _DATED.match(line)):
            continue
        text = dated["text"]
        if (bounce := _BOUNCE.match(text)) and int(bounce[2]) in owners:
            for story in owners[int(bounce[2])]:
                story.mids.add(int(bounce[1]))
                owners.setdefault(int(bounce[1]), []).append(story)
        if (start := _START.match(text)) and int(start[2]):
            for story in owners.get(int(start[1]), ()):
                story.icids[int(start[2])] = number
        for dcid, mid in _CARRIED.findall(text):
            for story in owners.get(int(mid), ()):
                if int(dcid):
                    story.dcids.add(int(dcid))
    return stories


def message_lines(read: Callable[[], Iterable[str]], mids: Iterable[int]) -> Iterator[list[str]]:
    """The lines of each message, one list for each of `mids`, empty for one that is not there. `read` is called twice."""
    stories = _read_stories(read(), mids)
    by_mid: dict[int, set[int]] = {}
    by_icid: dict[int, set[int]] = {}
    by_dcid: dict[int, set[int]] = {}
    for key, story in stories.items():
        for index, numbers in ((by_mid, story.mids), (by_icid, story.icids), (by_dcid, story.dcids)):
            for number in numbers:
                index.setdefault(number, set()).add(key)
    shown: dict[int, list[str]] = {key: [] for key in stories}
    for number, line in enumerate(read()):
        if not (dated := _DATED.match(line)):
            continue
        text = dated["text"]
        if message := _MESSAGE.match(text):
            owners = by_mid.get(int(message[1] or message[2]), set())
            if bounce := _BOUNCE.match(text):
                owners = owners | by_mid.get(int(bounce[2]), set())
        elif incoming := _INCOMING.match(text):
            ends = bool(_END_OF_INCOMING.match(text))
            icid = int(incoming[1])
            owners = {key for key in by_icid.get(icid, set()) if ends or number < stories[key].icids[icid]}
        elif outgoing := _OUTGOING.match(text):
            owners = by_dcid.get(int(outgoing[1]), set())
        else:
            continue
        for key in owners:
            shown[key].append(line)
    yield from shown.values()
