"""Changes of a host access table, as pure functions: what NEW, DELETE, MOVE, CLEAR and RESET make of it (listenerconfig.md 5).

Functions that change policies and entries together return both, as keyword arguments of the listener.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from appliance_state.access_sources import ALL
from appliance_state.hat_text import over_limit
from appliance_state.model.listeners import (
    Behavior,
    Listener,
    ListenerType,
    MailFlowPolicy,
    PolicyParameters,
    Sender,
    SenderGroup,
    factory_parameters,
    factory_policies,
    factory_sender_groups,
)
from commands.dialog import Refused

T = TypeVar("T")

Groups = tuple[SenderGroup, ...]


def with_defaults(listener: Listener) -> PolicyParameters:
    """`hat_default`, complete."""
    return listener.hat_default.over(factory_parameters(listener.type))


def is_all(group: SenderGroup) -> bool:
    return not group.name and bool(group.senders) and group.senders[0].source == ALL


def find_group(groups: tuple[SenderGroup, ...], name: str) -> int | None:
    """Index of the entry of that name (or host, for an entry without a name)."""
    keys = [group.identity.casefold() for group in groups]
    return keys.index(name.casefold()) if name.casefold() in keys else None


def check_limits(policies: tuple[MailFlowPolicy, ...], groups: tuple[SenderGroup, ...]) -> None:
    """Errors: Refused when the table would be too large."""
    if problem := over_limit(policies, groups):
        raise Refused(problem)


def new_entries(groups: tuple[SenderGroup, ...], name: str, hosts: tuple[str, ...], template: SenderGroup) -> tuple[SenderGroup, ...]:
    """The table with a new group, or without a name with one entry per host, directly before `ALL`."""
    senders = [Sender(source=host) for host in hosts]
    bundles = [tuple(senders)] if name else [(sender,) for sender in senders]
    entries = (attrs.evolve(template, name=name, senders=bundle) for bundle in bundles)
    return (*groups[:-1], *entries, *groups[-1:])


def moved(items: tuple[T, ...], index: int, before: int) -> tuple[T, ...]:
    """The tuple with the item at `index` put in front of the one at `before`."""
    item = items[index]
    rest = [*items[:before], item, *items[before:]]
    del rest[index if index < before else index + 1]
    return tuple(rest)


def replaced(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])


def without(items: tuple[T, ...], index: int) -> tuple[T, ...]:
    return (*items[:index], *items[index + 1 :])


def with_policy(listener: Listener, policy: MailFlowPolicy) -> tuple[MailFlowPolicy, ...]:
    """The policies with this one added, or in the place of its namesake."""
    names = [known.name.casefold() for known in listener.hat_policies]
    if policy.name.casefold() in names:
        return replaced(listener.hat_policies, names.index(policy.name.casefold()), policy)
    return (*listener.hat_policies, policy)


def policy_users(listener: Listener, policy: MailFlowPolicy) -> list[str]:
    """Names of the entries that use the policy."""
    return [group.identity for group in listener.hat_sender_groups if (group.policy or "").casefold() == policy.name.casefold()]


def without_policy(listener: Listener, policy: MailFlowPolicy) -> dict[str, object]:
    """Less the policy; its users take its behavior."""
    return {
        "hat_policies": tuple(known for known in listener.hat_policies if known.name.casefold() != policy.name.casefold()),
        "hat_sender_groups": tuple(
            attrs.evolve(group, policy=None, behavior=policy.behavior)
            if (group.policy or "").casefold() == policy.name.casefold()
            else group
            for group in listener.hat_sender_groups
        ),
    }


def cleared(kind: ListenerType) -> dict[str, object]:
    """Only `ALL`."""
    behavior = Behavior.REJECT if kind is ListenerType.PRIVATE else Behavior.ACCEPT
    return {"hat_policies": (), "hat_sender_groups": (SenderGroup(senders=(Sender(source=ALL),), behavior=behavior),)}


def factory_table(kind: ListenerType) -> dict[str, object]:
    """As a new listener has it."""
    return {"hat_policies": factory_policies(kind), "hat_sender_groups": factory_sender_groups(kind)}
