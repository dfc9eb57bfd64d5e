"""Command lines `listenerconfig edit <name> hostaccess …` (listenerconfig.md 10)."""

from __future__ import annotations

import attrs

from appliance_state.model.listeners import Listener, MailFlowPolicy, PolicyParameters, Sender, SenderGroup
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.listenerconfig import hostaccess, sendergroup
from commands.listenerconfig.doors import answered, with_file
from commands.listenerconfig.edited import EditedListener
from commands.listenerconfig.entries import kept, new_group_name, new_policy_name
from commands.listenerconfig.hat_options import OPTIONS, behavior_named, with_options
from commands.listenerconfig.hat_table import find_group, is_all, moved, policy_users, with_defaults, without, without_policy
from commands.listenerconfig.hosts import sources
from commands.listenerconfig.responses import reply_text
from commands.listenerconfig.sendergroup import EditedGroup, unknown_group

GROUP, POLICY = "sendergroup", "policy"


async def host_access(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    operation = args.operation("new", "edit", "delete", "move", "default", "print", "import", "export", "clear", "reset")
    match operation:
        case "new":
            _new(edited, args)
        case "edit":
            await _edit(talk, edited, args)
        case "delete":
            _delete(edited, args)
        case "move":
            _move(edited, args)
        case "default":
            options = args.declare(valued=OPTIONS)
            args.end()
            edited.change(hat_default=with_options(with_defaults(edited.listener), options))
        case "print":
            args.end()
            talk.say(hostaccess.table_text(edited.listener))
        case "import":
            await with_file(talk, edited, args, hostaccess.import_, "hostaccess", operation)
        case "export":
            await with_file(talk, edited, args, hostaccess.export, "hostaccess", operation)
        case "clear":
            await answered(talk, edited, args, hostaccess.clear)
        case "reset":
            await answered(talk, edited, args, hostaccess.reset)


def _group(edited: EditedListener, name: str) -> EditedGroup:
    """Errors: Refused."""
    groups = edited.listener.hat_sender_groups
    index = find_group(groups, name)
    if index is None:
        raise Refused(unknown_group(name))
    return EditedGroup(edited, index, groups[index].identity)


def _policy(edited: EditedListener, name: str) -> MailFlowPolicy:
    """Errors: Refused."""
    if not edited.listener.hat_policies:
        raise Refused("No policies to edit.")
    policy = edited.listener.policy(name)
    if policy is None:
        raise Refused(f'There is no policy "{name}".')
    return policy


def _decided(listener: Listener, current: SenderGroup, word: str, options: dict[str, str]) -> SenderGroup:
    """The entry with the behavior of the line and its options. Errors: Refused."""
    behavior, policy = behavior_named(word, listener.hat_policies, entry=True)
    if policy is not None:
        if options:
            raise Refused("Options cannot be combined with a policy.")
        return attrs.evolve(current, behavior=None, policy=policy, parameters=PolicyParameters())
    assert behavior is not None
    parameters = kept(current.parameters, current.behavior, behavior)
    return attrs.evolve(current, behavior=behavior, policy=None, parameters=with_options(parameters, options, with_defaults(listener)))


def _policy_of(listener: Listener, name: str, current: MailFlowPolicy | None, word: str, options: dict[str, str]) -> MailFlowPolicy:
    behavior, _ = behavior_named(word, listener.hat_policies, entry=False)
    assert behavior is not None
    parameters = PolicyParameters() if current is None else kept(current.parameters, current.behavior, behavior)
    return MailFlowPolicy(name=name, behavior=behavior, parameters=with_options(parameters, options, with_defaults(listener)))


def _new(edited: EditedListener, args: Arguments) -> None:
    listener = edited.listener
    if args.operation(GROUP, POLICY) == POLICY:
        options = args.declare(valued=OPTIONS)
        name, behavior = args.word("policy"), args.word("behavior")
        args.end()
        name = new_policy_name(listener)(name)
        hostaccess.store_policy(edited, _policy_of(listener, name, None, behavior, options))
        return
    options = args.declare(valued=(*OPTIONS, "comment"))
    name, hosts, behavior = args.word("group"), args.word("host"), args.word("behavior")
    args.end()
    template = SenderGroup(comment=" ".join(reply_text(options.pop("comment", "")).split()))
    if name:
        name = new_group_name(listener)(name)
    hostaccess.store_entries(edited, name, sources(hosts), _decided(listener, template, behavior, options))


async def _edit(talk: Conversation, edited: EditedListener, args: Arguments) -> None:
    if args.operation(GROUP, POLICY) == POLICY:
        options = args.declare(valued=OPTIONS)
        policy = _policy(edited, args.word("policy"))
        behavior = args.word("behavior")
        args.end()
        hostaccess.store_policy(edited, _policy_of(edited.listener, policy.name, policy, behavior, options))
        return
    entry = _group(edited, args.word("group"))
    hosts = ("new", "delete", "move") if entry.group.name else ()
    rename = () if is_all(entry.group) else ("rename",)
    match args.operation("policy", "print", *hosts, *rename):
        case "new":
            added = args.word("host")
            args.end()
            await sendergroup.new(talk.answering({"hosts": added}), entry)
        case "delete":
            index = _host(entry.group, args.word("host"))
            args.end()
            _with_hosts(entry, without(entry.group.senders, index))
        case "move":
            index, before = _host(entry.group, args.word("host")), _host(entry.group, args.word("before"))
            args.end()
            _with_hosts(entry, moved(entry.group.senders, index, before))
        case "policy":
            options = args.declare(valued=OPTIONS)
            behavior = args.word("behavior")
            args.end()
            entry.store(_decided(edited.listener, entry.group, behavior, options))
        case "print":
            args.end()
            talk.say(sendergroup.definition(entry.group))
        case "rename":
            name = args.word("name")
            args.end()
            await sendergroup.rename(talk.answering({"new_name": name}), entry)


def _host(group: SenderGroup, text: str) -> int:
    """Position of a host of the group. Errors: Refused, Rejected."""
    (wanted, *_) = sources(text)
    for index, sender in enumerate(group.senders):
        if sender.source == wanted:
            return index
    raise Refused(f'The host "{text}" is not in this group.')


def _with_hosts(entry: EditedGroup, senders: tuple[Sender, ...]) -> None:
    entry.store(attrs.evolve(entry.group, senders=senders))


def _delete(edited: EditedListener, args: Arguments) -> None:
    if args.operation(GROUP, POLICY) == POLICY:
        options = args.declare(flags=("force",))
        policy = _policy(edited, args.word("policy"))
        args.end()
        users = policy_users(edited.listener, policy)
        if users and "force" not in options:
            raise Refused(f'The policy "{policy.name}" is used by: {", ".join(users)}.')
        edited.change(**without_policy(edited.listener, policy))
        return
    entry = _group(edited, args.word("group"))
    args.end()
    if is_all(entry.group):
        raise Refused(hostaccess.ALL_STAYS)
    edited.change(hat_sender_groups=without(edited.listener.hat_sender_groups, entry.index))


def _move(edited: EditedListener, args: Arguments) -> None:
    entry, before = _group(edited, args.word("group")), _group(edited, args.word("before"))
    args.end()
    if is_all(entry.group):
        raise Refused(hostaccess.ALL_IS_LAST)
    edited.change(hat_sender_groups=moved(edited.listener.hat_sender_groups, entry.index, before.index))
