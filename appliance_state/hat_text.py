"""The host access table as text: what PRINT shows, EXPORT writes, IMPORT reads and the configuration file holds.

    $POLICY
        BEHAVIOR { name = value … } (comment)
    GROUP:
        source (comment)
            BEHAVIOR or $POLICY (comment)
    source
        BEHAVIOR or $POLICY (comment)
    ALL
        BEHAVIOR or $POLICY (comment)

Written: policies by name, then entries in order; only parameters that are set. Read: any indentation; `#` begins a
comment of the file outside quotes and parentheses; a parenthesis may hold balanced parentheses, others behind a
backslash. Reading a written text gives the same table. Source: listenerconfig.md 5.6, 5.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs
from attrs import define, frozen

from appliance_state.access_sources import ALL, parse_source, unsupported_source
from appliance_state.hat_parameters import PARAMETER_ORDER, READERS, is_omitted
from appliance_state.model.listeners import Behavior, MailFlowPolicy, PolicyParameters, Sender, SenderGroup

MAX_GROUPS = 1000
MAX_POLICIES = 100
MAX_HOSTS = 20000
NAME = r"[A-Za-z0-9_.-]+"

_NAME = re.compile(NAME, re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_WORD = re.compile(r"(?:\[[^\]]*\]|[^\s{}=(\"#])+")


class TableError(ValueError):
    """The text is no table; the message is for the operator."""


def over_limit(policies: Sequence[MailFlowPolicy], groups: Sequence[SenderGroup]) -> str | None:
    """The limit of a listener that this table exceeds."""
    if sum(1 for group in groups if group.name) > MAX_GROUPS:
        return f"There is a maximum of {MAX_GROUPS} sender groups."
    if len(policies) > MAX_POLICIES:
        return f"There is a maximum of {MAX_POLICIES} policies."
    if sum(len(group.senders) for group in groups) > MAX_HOSTS:
        return f"There is a maximum of {MAX_HOSTS} hosts."
    return None


# -- writing ------------------------------------------------------------------------------------------------------


def host_access_text(policies: Sequence[MailFlowPolicy], groups: Sequence[SenderGroup]) -> str:
    """The table; its last line has no line end."""
    lines: list[str] = []
    for policy in sorted(policies, key=lambda policy: policy.name.casefold()):
        lines += [f"${policy.name}", *_decision(policy.behavior.name, policy.parameters, "", "    ")]
    for group in groups:
        lines += entry_lines(group)
    return "\n".join(lines)


def entry_lines(group: SenderGroup) -> list[str]:
    """The lines of one entry."""
    word = f"${group.policy}" if group.policy is not None else (group.behavior or Behavior.ACCEPT).name
    if group.name:
        hosts = [f"    {sender.source}{_remark(sender.comment)}" for sender in group.senders]
        return [f"{group.name}:", *hosts, *_decision(word, group.parameters, group.comment, " " * 8)]
    lines: list[str] = []
    for sender in group.senders:
        lines += [f"{sender.source}{_remark(sender.comment)}", *_decision(word, group.parameters, group.comment, "    ")]
    return lines


def _decision(word: str, parameters: PolicyParameters, comment: str, indent: str) -> list[str]:
    own = [(name, value) for name in PARAMETER_ORDER if (value := getattr(parameters, name)) is not None]
    if not own:
        return [f"{indent}{word}{_remark(comment)}"]
    return [
        f"{indent}{word} {{",
        *(f"{indent}    {name} = {_value_text(value)}" for name, value in own),
        f"{indent}}}{_remark(comment)}",
    ]


def _value_text(value: int | bool | str) -> str:
    if isinstance(value, bool):
        return '"on"' if value else '"off"'
    return str(value) if isinstance(value, int) else quoted(value)


def quoted(text: str) -> str:
    """A text in double quotes on one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _remark(comment: str) -> str:
    if not comment:
        return ""
    text = comment.replace("\\", "\\\\")
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    return f" ({text if depth == 0 else text.replace('(', chr(92) + '(').replace(')', chr(92) + ')')})"


# -- reading ------------------------------------------------------------------------------------------------------


@frozen
class HostAccessTable:
    policies: tuple[MailFlowPolicy, ...]
    groups: tuple[SenderGroup, ...]
    warnings: tuple[str, ...]


@frozen
class _Token:
    line: int
    kind: str
    """word, text (was quoted), comment, or one of `{ } =`"""
    value: str


def parse_host_access(text: str) -> HostAccessTable:
    """Read a table. Errors: TableError with the line to print, which begins `Error: `."""
    reader = _Reader(list(_tokens(text)))
    reader.read()
    problem = over_limit(reader.policies, reader.groups)
    if problem:
        raise TableError(f"Error: {problem}")
    return HostAccessTable(tuple(reader.policies), tuple(reader.groups), tuple(reader.warnings))


def _error(line: int, reason: str) -> TableError:
    return TableError(f"Error: Line {line}: {reason}")


def _tokens(text: str) -> Iterator[_Token]:
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _CONTROL.sub("", raw)
        position = 0
        while position < len(line):
            char = line[position]
            if char == "#":
                break
            if char.isspace():
                position += 1
            elif char in "{}=":
                yield _Token(number, char, char)
                position += 1
            elif char in '"(':
                value, position = _enclosed(line, position, number)
                yield _Token(number, "text" if char == '"' else "comment", value)
            else:
                found = _WORD.match(line, position)
                if not found:
                    raise _error(number, f'unexpected "{char}".')
                yield _Token(number, "word", found[0])
                position = found.end()


def _enclosed(line: str, start: int, number: int) -> tuple[str, int]:
    """The text between the quote or parenthesis at `start` and its end; the position behind that."""
    closing = '"' if line[start] == '"' else ")"
    value: list[str] = []
    depth = 1
    position = start + 1
    while position < len(line):
        char = line[position]
        if char == "\\" and position + 1 < len(line):
            following = line[position + 1]
            value.append("\n" if following == "n" and closing == '"' else following)
            position += 2
            continue
        depth += (char == "(" and closing == ")") - (char == closing)
        position += 1
        if depth == 0:
            return "".join(value), position
        value.append(char)
    raise _error(number, f"missing {'closing quotation mark' if closing == chr(34) else 'closing parenthesis'}.")


@define
class _Reader:
    tokens: list[_Token]
    position: int = 0
    policies: list[MailFlowPolicy] = attrs.field(factory=list)
    groups: list[SenderGroup] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    ignored: set[str] = attrs.field(factory=set)
    used: list[tuple[int, str]] = attrs.field(factory=list)
    """policies that entries name, with their lines"""
    names: set[str] = attrs.field(factory=set)
    """policy names with `$`, group names with `:`, as written but in one case"""

    def read(self) -> None:
        ended = False
        while self.position < len(self.tokens):
            token = self._next("an entry")
            if token.kind != "word":
                raise _error(token.line, f'unexpected "{token.value}".')
            if token.value.startswith("$"):
                self._policy(token)
                continue
            if ended:
                raise TableError(f'Error: The table must end with an "{ALL}" entry.')
            if token.value.endswith(":") and _NAME.fullmatch(token.value[:-1]):
                self._group(token)
            else:
                self._entry(token)
                ended = token.value.upper() == ALL
        if not ended:
            raise TableError(f'Error: The table must end with an "{ALL}" entry.')
        known = {policy.name.casefold(): policy.name for policy in self.policies}
        for line, name in self.used:
            if name.casefold() not in known:
                raise _error(line, f'unknown policy "${name}".')

    def _next(self, wanted: str) -> _Token:
        if self.position >= len(self.tokens):
            line = self.tokens[-1].line if self.tokens else 1
            raise _error(line, f"expected {wanted} before the end of the file.")
        self.position += 1
        return self.tokens[self.position - 1]

    def _accept(self, kind: str) -> str | None:
        """The value of the next token if it is of that kind."""
        if self.position < len(self.tokens) and self.tokens[self.position].kind == kind:
            self.position += 1
            return self.tokens[self.position - 1].value
        return None

    def _claim(self, token: _Token, name: str, what: str) -> None:
        key = token.value.casefold()
        if key in self.names:
            raise _error(token.line, f'{what} "{name}" is defined twice.')
        self.names.add(key)

    def _policy(self, token: _Token) -> None:
        name = token.value[1:]
        if not _NAME.fullmatch(name):
            raise _error(token.line, f'"{token.value}" is not a valid policy name.')
        self._claim(token, name, "policy")
        word = self._next(f'a behavior after "{token.value}"')
        behavior = _behavior(word)
        if behavior is None or behavior is Behavior.CONTINUE:
            raise _error(word.line, f'unknown behavior "{word.value}".')
        parameters, _ = self._details()
        self.policies.append(MailFlowPolicy(name=name, behavior=behavior, parameters=parameters))

    def _group(self, token: _Token) -> None:
        name = token.value[:-1]
        if name.upper() == ALL:
            raise _error(token.line, f'"{ALL}" cannot be the name of a sender group.')
        self._claim(token, name, "sender group")
        senders: list[Sender] = []
        while True:
            word = self._next(f'a behavior after "{token.value}"')
            if word.kind == "word" and (word.value.startswith("$") or _behavior(word) is not None):
                break
            if (sender := self._sender(word)) is not None:
                senders.append(sender)
        self._finish(SenderGroup(name=name, senders=tuple(senders)), word)

    def _entry(self, token: _Token) -> None:
        sender = Sender(source=ALL, comment=self._accept("comment") or "") if token.value.upper() == ALL else self._sender(token)
        word = self._next(f'a behavior after "{token.value}"')
        if sender is None:
            if not word.value.startswith("$") and _behavior(word) is None:
                raise _error(word.line, f'unknown behavior "{word.value}".')
            self._details()
        else:
            self._finish(SenderGroup(senders=(sender,)), word)

    def _sender(self, token: _Token) -> Sender | None:
        """A host line; None when its kind of source is not supported."""
        comment = self._accept("comment") or ""
        if kind := unsupported_source(token.value):
            self.warnings.append(f'Warning: Line {token.line}: "{token.value}" ignored, {kind} sources are not supported.')
            return None
        try:
            source = parse_source(token.value).text if token.kind == "word" else ALL
        except ValueError:
            source = ALL
        if source == ALL:
            raise _error(token.line, f'"{token.value}" is not a valid host.')
        return Sender(source=source, comment=comment)

    def _finish(self, group: SenderGroup, word: _Token) -> None:
        policy = word.value[1:] if word.kind == "word" and word.value.startswith("$") else None
        behavior = None if policy is not None else _behavior(word)
        if policy is None and behavior is None:
            raise _error(word.line, f'unknown behavior "{word.value}".')
        if policy is not None:
            self.used.append((word.line, policy))
        parameters, comment = self._details()
        if policy is not None and parameters != PolicyParameters():
            raise _error(word.line, f'parameters cannot follow the policy "${policy}".')
        self.groups.append(attrs.evolve(group, policy=policy, behavior=behavior, parameters=parameters, comment=comment))

    def _details(self) -> tuple[PolicyParameters, str]:
        """What may follow a behavior: parameters and a comment."""
        changes: dict[str, object] = {}
        if self._accept("{"):
            while (name := self._next('"}"')).kind != "}":
                if name.kind != "word":
                    raise _error(name.line, f'unexpected "{name.value}".')
                if not self._accept("="):
                    raise _error(name.line, f'expected "=" after "{name.value}".')
                value = self._next(f'a value after "{name.value}"')
                if value.kind not in ("word", "text"):
                    raise _error(name.line, f'expected a value after "{name.value}".')
                self._parameter(name, value, changes)
        return attrs.evolve(PolicyParameters(), **changes), self._accept("comment") or ""  # type: ignore[arg-type]

    def _parameter(self, name: _Token, value: _Token, changes: dict[str, object]) -> None:
        parameter = name.value.lower()
        if parameter not in PARAMETER_ORDER:
            if not is_omitted(parameter):
                raise _error(name.line, f'unknown parameter "{name.value}".')
            if parameter not in self.ignored:
                self.ignored.add(parameter)
                self.warnings.append(f'Warning: Line {name.line}: "{name.value}" ignored, not supported.')
            return
        try:
            changes[parameter] = READERS[parameter](value.value)
        except (ValueError, KeyError):
            raise _error(value.line, f'invalid "{parameter}" value: {value.value}.') from None


def _behavior(token: _Token) -> Behavior | None:
    return Behavior[token.value.upper()] if token.kind == "word" and token.value.upper() in Behavior.__members__ else None
