"""The menu HOSTACCESS of a listener: entries, policies, defaults, and the table as a file (listenerconfig.md 5)."""

from __future__ import annotations

from appliance_state.access_sources import ALL
from appliance_state.hat_text import TableError, host_access_text, parse_host_access
from appliance_state.model.listeners import Listener, MailFlowPolicy, SenderGroup
from commands.dialog import Cancelled, Conversation, Refused, Rejected
from commands.listenerconfig.edited import EditedListener, pick
from commands.listenerconfig.entries import ask_entry, ask_policy, new_group_name, new_policy_name
from commands.listenerconfig.hat_table import (
    check_limits,
    cleared,
    factory_table,
    is_all,
    moved,
    new_entries,
    policy_users,
    with_defaults,
    with_policy,
    without,
    without_policy,
)
from commands.listenerconfig.hosts import FORMS, sources
from commands.listenerconfig.listings import group_row, host_access_status
from commands.listenerconfig.parameters import ask_parameters
from commands.listenerconfig.sendergroup import EditedGroup
from commands.listenerconfig.sendergroup import menu as group_menu
from commands.menu import Menu
from commands.table_files import export_text, import_text, imported

ALL_STAYS = f'The entry "{ALL}" cannot be deleted.'
ALL_IS_LAST = f'The entry "{ALL}" must be the last entry.'
GROUP, POLICY = "group", "policy"

menu: Menu[EditedListener] = Menu(status=lambda edited: host_access_status(edited.listener))


async def _pick_group(
    talk: Conversation, listener: Listener, question: str, *, key: str, all_: str | None = None, rows: bool = True
) -> int:
    """Index of an entry; `all_`: why `ALL` cannot be chosen."""
    groups = listener.hat_sender_groups

    def check(index: int) -> None:
        if all_ is not None and is_all(groups[index]):
            raise Rejected(all_)

    return await pick(
        talk,
        [group_row(group) for group in groups] if rows else [],
        [group.identity for group in groups],
        key=key,
        above="Currently configured HAT sender groups:" if rows else "",
        below=question,
        check=check,
    )


async def _pick_policy(talk: Conversation, listener: Listener, question: str) -> MailFlowPolicy:
    policies = sorted(listener.hat_policies, key=lambda policy: policy.name.casefold())
    names = [policy.name for policy in policies]
    above = "Currently configured HAT policies:"
    return policies[await pick(talk, names, names, key="policy", above=above, below=question)]


async def _kind(talk: Conversation, listener: Listener, prefix: str = "") -> str:
    """Whether the operator means a sender group or a policy; not asked where there is no policy."""
    if not prefix and not listener.hat_policies:
        return GROUP
    return await talk.choose([(GROUP, f"{prefix}Sender Group"), (POLICY, f"{prefix}Policy")], key="kind", default=GROUP)


@menu.operation("NEW", "Create a new entry.")
async def new(talk: Conversation, edited: EditedListener) -> None:
    if await _kind(talk, edited.listener, "New ") == POLICY:
        name = await talk.ask("Enter the name of this policy.", new_policy_name(edited.listener), key="policy")
        policy = await ask_policy(talk, edited.listener, name, None)
        store_policy(edited, policy)
        return
    question = "Enter a name for this sender group. (optional)"
    name = await talk.ask_optional(question, new_group_name(edited.listener), key="group") or ""
    hosts = await talk.ask(f"Enter the hosts to add. {FORMS}", sources, key="hosts")
    template = await ask_entry(talk, edited.listener, SenderGroup())
    store_entries(edited, name, hosts, template)


def store_policy(edited: EditedListener, policy: MailFlowPolicy) -> None:
    """Add a policy or put it in the place of its namesake. Errors: Refused."""
    policies = with_policy(edited.listener, policy)
    check_limits(policies, edited.listener.hat_sender_groups)
    edited.change(hat_policies=policies)


def store_entries(edited: EditedListener, name: str, hosts: tuple[str, ...], template: SenderGroup) -> None:
    """Add a group, or entries without a name, before `ALL`. Errors: Refused."""
    groups = new_entries(edited.listener.hat_sender_groups, name, hosts, template)
    check_limits(edited.listener.hat_policies, groups)
    edited.change(hat_sender_groups=groups)


@menu.operation("EDIT", "Modify an entry.")
async def edit(talk: Conversation, edited: EditedListener) -> None:
    if await _kind(talk, edited.listener) == POLICY:
        policy = await _pick_policy(talk, edited.listener, "Enter the policy number or name you wish to edit.")
        store_policy(edited, await ask_policy(talk, edited.listener, policy.name, policy))
        return
    index = await _pick_group(talk, edited.listener, "Enter the sender group number or name you wish to edit.", key="group")
    await group_menu.run(talk, EditedGroup(edited, index, edited.listener.hat_sender_groups[index].identity))


@menu.operation("DELETE", "Remove an entry.")
async def delete(talk: Conversation, edited: EditedListener) -> None:
    if await _kind(talk, edited.listener) == POLICY:
        policy = await _pick_policy(talk, edited.listener, "Enter the policy number or name you wish to delete.")
        await delete_policy(talk, edited, policy)
        return
    question = "Enter the sender group number or name you wish to delete."
    index = await _pick_group(talk, edited.listener, question, key="group", all_=ALL_STAYS)
    edited.change(hat_sender_groups=without(edited.listener.hat_sender_groups, index))


async def delete_policy(talk: Conversation, edited: EditedListener, policy: MailFlowPolicy) -> None:
    if users := policy_users(edited.listener, policy):
        question = (
            f'The policy "{policy.name}" is used by: {", ".join(users)}. These entries will '
            "use the default parameters with the behavior of the policy. Do you want to continue?"
        )
        if not await talk.confirm(question, key="continue", default=False):
            raise Cancelled
    edited.change(**without_policy(edited.listener, policy))


@menu.operation("MOVE", "Move an entry.")
async def move(talk: Conversation, edited: EditedListener) -> None:
    question = "Enter the number or name of the sender group you wish to move."
    index = await _pick_group(talk, edited.listener, question, key="group", all_=ALL_IS_LAST)
    question = "Enter the number or name of the sender group to insert it before."
    before = await _pick_group(talk, edited.listener, question, key="before", rows=False)
    edited.change(hat_sender_groups=moved(edited.listener.hat_sender_groups, index, before))


@menu.operation("DEFAULT", "Set the defaults.")
async def default(talk: Conversation, edited: EditedListener) -> None:
    listener = edited.listener
    edited.change(hat_default=await ask_parameters(talk, with_defaults(listener), certificate=listener.tls_certificate))


@menu.operation("PRINT", "Display the table.")
async def print_(talk: Conversation, edited: EditedListener) -> None:
    await talk.page(table_text(edited.listener))


def table_text(listener: Listener) -> str:
    return host_access_text(listener.hat_policies, listener.hat_sender_groups)


@menu.operation("IMPORT", "Import a table from a file.")
async def import_(talk: Conversation, edited: EditedListener) -> None:
    try:
        table = parse_host_access(await import_text(talk, edited.session))
    except TableError as problem:
        raise Refused(str(problem)) from None
    for warning in table.warnings:
        talk.note(warning)
    edited.change(hat_policies=table.policies, hat_sender_groups=table.groups)
    talk.note(imported(len(table.groups)))


@menu.operation("EXPORT", "Export the table to a file.")
async def export(talk: Conversation, edited: EditedListener) -> None:
    await export_text(talk, edited.session, f"{table_text(edited.listener)}\n")


@menu.operation("CLEAR", "Remove all entries.")
async def clear(talk: Conversation, edited: EditedListener) -> None:
    edited.change(**cleared(edited.listener.type))


@menu.operation("RESET", "Remove senders and set policies to system default.")
async def reset(talk: Conversation, edited: EditedListener) -> None:
    edited.change(**factory_table(edited.listener.type))
