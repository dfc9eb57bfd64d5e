"""Questions about one entry or policy of the host access table: behavior, parameters, comment (listenerconfig.md 5.3 to 5.5)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance_state.access_sources import ALL
from appliance_state.model.listeners import Behavior, Listener, MailFlowPolicy, PolicyParameters, SenderGroup
from commands.dialog import Conversation, Rejected
from commands.listenerconfig.hat_table import find_group, with_defaults
from commands.listenerconfig.hosts import entry_name
from commands.listenerconfig.parameters import ask_parameters

BEHAVIOR = "Select a behavior for this entry."
SESSIONS = (Behavior.ACCEPT, Behavior.RELAY)
"""Behaviors that lead to a session, for which parameters are asked."""


def _sorted(listener: Listener) -> list[MailFlowPolicy]:
    return sorted(listener.hat_policies, key=lambda policy: policy.name.casefold())


async def ask_policy(talk: Conversation, listener: Listener, name: str, current: MailFlowPolicy | None) -> MailFlowPolicy:
    """Behavior and parameters of a policy."""
    rows = [(behavior.value, behavior.label) for behavior in Behavior if behavior is not Behavior.CONTINUE]
    was = Behavior.ACCEPT if current is None else current.behavior
    behavior = Behavior(await talk.choose(rows, key="behavior", above=BEHAVIOR, default=was.value))
    parameters = kept(PolicyParameters() if current is None else current.parameters, was, behavior)
    if behavior in SESSIONS:
        parameters = await ask_parameters(talk, parameters, certificate=listener.tls_certificate, default=with_defaults(listener))
    return MailFlowPolicy(name=name, behavior=behavior, parameters=parameters)


async def ask_entry(talk: Conversation, listener: Listener, current: SenderGroup) -> SenderGroup:
    """The entry with behavior or policy, parameters and comment of the answers."""
    rows = [(behavior.value, behavior.label) for behavior in Behavior]
    rows += [(f"${policy.name}", f"Policy: {policy.name}") for policy in _sorted(listener)]
    was = current.behavior or Behavior.ACCEPT
    policy = listener.policy(current.policy) if current.policy is not None else None
    default = was.value if policy is None else f"${policy.name}"
    chosen = await talk.choose(rows, key="behavior", above=BEHAVIOR, default=default)
    if chosen.startswith("$"):
        changed = attrs.evolve(current, policy=chosen[1:], behavior=None, parameters=PolicyParameters())
    else:
        behavior = Behavior(chosen)
        parameters = PolicyParameters() if policy is not None else kept(current.parameters, was, behavior)
        if behavior in SESSIONS and await talk.confirm(
            "Would you like to change the default parameters?", key="change_parameters", default=False
        ):
            parameters = await ask_parameters(talk, parameters, certificate=listener.tls_certificate, default=with_defaults(listener))
        changed = attrs.evolve(current, policy=None, behavior=behavior, parameters=parameters)
    question = "Enter a comment for this sender group."
    if current.comment:
        comment = await talk.ask(question, str, key="comment", default=current.comment)
    else:
        comment = await talk.ask_optional(question, str, key="comment") or ""
    return attrs.evolve(changed, comment=comment)


def kept(parameters: PolicyParameters, was: Behavior | None, behavior: Behavior) -> PolicyParameters:
    """Parameters of a session mean nothing for another behavior."""
    return parameters if behavior is was or behavior in SESSIONS else PolicyParameters()


def new_group_name(listener: Listener, besides: str = "") -> Callable[[str], str]:
    """Parser of the name of a sender group that does not exist yet, except under the name `besides`."""

    def parse(answer: str) -> str:
        name = entry_name(answer)
        taken = find_group(listener.hat_sender_groups, name) is not None or name.upper() == ALL
        if taken and name.casefold() != besides.casefold():
            raise Rejected(f'A sender group named "{name}" already exists.')
        return name

    return parse


def new_policy_name(listener: Listener) -> Callable[[str], str]:
    """Parser of the name of a policy that does not exist yet."""

    def parse(answer: str) -> str:
        name = entry_name(answer)
        if listener.policy(name) is not None:
            raise Rejected(f'A policy named "{name}" already exists.')
        return name

    return parse
