"""sshconfig: the SSH keys with which users log in (users-and-access.md 5). Key form: RFC 4253 6.6 in one line of OpenSSH."""

from __future__ import annotations

from attrs import define, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from appliance_runtime.sessions import Session
from appliance_state.model.users import User
from appliance_state.table import evolve
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused, Rejected
from commands.menu import Menu
from commands.registry import Command

KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
MIN_RSA_BITS = 2048
NOT_A_KEY = "That value is not a valid public key."
INSTALLED = "The key is already installed."
WEAK = f"RSA keys must have at least {MIN_RSA_BITS} bits."
NEW_QUESTION = """\
Please enter the public SSH key for authorization.
Press enter on a blank line to finish."""


@frozen
class PublicKey:
    """`blob`: base64 of the key."""

    kind: str
    blob: str
    comment: str = ""

    @property
    def line(self) -> str:
        return f"{self.kind} {self.blob} {self.comment}".rstrip()

    @property
    def row(self) -> str:
        shown = self.blob if len(self.blob) <= 27 else f"{self.blob[:20]}...{self.blob[-7:]}"
        return f"{self.kind} {shown}" + (f" ({self.comment})" if self.comment else "")


def split_key(line: str) -> PublicKey:
    """A stored line."""
    kind, blob, *comment = line.split(None, 2)
    return PublicKey(kind, blob, *comment)


def parse_key(text: str) -> PublicKey:
    """A key as pasted: one line, or one that was broken into several. Errors: Rejected."""
    for line in ("".join(text.split("\n")), " ".join(text.split("\n"))):
        words = line.split(None, 2)
        if len(words) >= 2 and words[0] in KEY_TYPES:
            try:
                key = load_ssh_public_key(f"{words[0]} {words[1]}".encode("ascii"))
            except (ValueError, UnsupportedAlgorithm):
                continue
            if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
                raise Rejected(WEAK)
            return PublicKey(words[0], words[1], *words[2:])
    raise Rejected(NOT_A_KEY)


@define(eq=False)
class UserKeys:
    """The keys of one user in the pending copy of a session."""

    session: Session
    user: str

    @property
    def account(self) -> User:
        return self.session.draft.config.users[self.user]

    @property
    def keys(self) -> list[PublicKey]:
        return sorted(map(split_key, self.account.authorized_keys), key=lambda key: (key.comment, key.kind, key.blob))

    def store(self, keys: list[PublicKey]) -> None:
        draft = self.session.draft
        account = evolve(self.account, authorized_keys=frozenset(key.line for key in keys))
        draft.config = draft.config.with_(users=draft.config.users.put(account))

    def new(self, text: str) -> PublicKey:
        """Errors: Rejected for what is no key or is installed already."""
        key = parse_key(text)
        if any(key.blob == other.blob for other in self.keys):
            raise Rejected(INSTALLED)
        return key

    def switch(self, name: str) -> str:
        if name not in self.session.draft.config.users:
            raise Rejected(f'The user "{name}" does not exist.')
        return self.session.draft.config.users[name].name


def _status(subject: UserKeys) -> str:
    rows = [f"{number}. {key.row}" for number, key in enumerate(subject.keys, start=1)]
    return "\n".join([f"Currently installed keys for {subject.user}:", *rows])


def _has_keys(subject: UserKeys) -> bool:
    return bool(subject.keys)


userkey: Menu[UserKeys] = Menu(status=_status)


@userkey.operation("NEW", "Add a new key.")
async def new(talk: Conversation, subject: UserKeys) -> None:
    while text := await talk.paste(NEW_QUESTION, key="key", end=""):
        try:
            key = subject.new(text)
        except Rejected as rejection:
            talk.fail(str(rejection))
        else:
            subject.store([*subject.keys, key])
            return


@userkey.operation("DELETE", "Remove an existing key.", when=_has_keys)
async def delete(talk: Conversation, subject: UserKeys) -> None:
    key = await _pick(talk, subject, "delete")
    subject.store([other for other in subject.keys if other != key])


@userkey.operation("PRINT", "Display a key.", when=_has_keys)
async def show(talk: Conversation, subject: UserKeys) -> None:
    talk.show((await _pick(talk, subject, "print")).line)


@userkey.operation("USER", "Switch to a different user to edit.")
async def user(talk: Conversation, subject: UserKeys) -> None:
    subject.user = await talk.select("Enter the username to edit.", subject.switch, key="user")


async def _pick(talk: Conversation, subject: UserKeys, verb: str) -> PublicKey:
    keys = subject.keys
    return keys[await talk.select(f"Enter the number of the key you wish to {verb}.", integer(1, len(keys)), key="number") - 1]


menu: Menu[Session] = Menu()


@menu.operation("USERKEY", "Edit SSH User Key settings")
async def edit_keys(talk: Conversation, session: Session) -> None:
    await userkey.run(talk, UserKeys(session, session.user))


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    args.operation("userkey")
    operation = args.operation("new", "delete", "print")
    subject = UserKeys(session, session.user)
    subject.user = subject.switch(args.word("user"))
    match operation:
        case "new":
            key = subject.new(args.word("key"))
            args.end()
            subject.store([*subject.keys, key])
        case "delete":
            chosen = args.word("number")
            args.end()
            found = [key for n, key in enumerate(subject.keys, start=1) if chosen in (str(n), key.comment)]
            if not found:
                raise Refused(f'There is no key "{chosen}".')
            subject.store([key for key in subject.keys if key != found[0]])
        case "print":
            args.end()
            for key in subject.keys:
                talk.say(key.line)


async def dialog(talk: Conversation, session: Session) -> None:
    await menu.run(talk, session)


COMMAND = Command(
    "sshconfig",
    "Configure SSH keys.",
    dialog=dialog,
    batch=batch,
    needs_commit=True,
    usage="""\
sshconfig userkey new <user> "<key>"
sshconfig userkey delete <user> <number|comment>
sshconfig userkey print <user>""",
)
