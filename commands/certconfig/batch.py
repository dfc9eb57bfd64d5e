"""certconfig as command lines (certconfig.md 11): a second door to the operations of the dialog. Success prints nothing."""

from __future__ import annotations

from appliance_runtime.sessions import Session
from appliance_state.certificates.chain import add_intermediates, from_below
from appliance_state.names import DOMAIN_RULES, is_fqdn
from commands.answers import integer, words
from commands.arguments import Arguments
from commands.certconfig import authorities, certificate, creating, editing
from commands.certconfig.crl_batch import USAGE as CRL_USAGE
from commands.certconfig.crl_batch import crl_batch
from commands.certconfig.files import read_pem, write_file
from commands.certconfig.listing import authority_details, certificate_table
from commands.certconfig.pasting import certificates_in, leaf_and_chain
from commands.certconfig.profiles import check_fqdn, named_profile, rejecting
from commands.dialog import Conversation, Refused, Rejected, SyntaxProblem, yes_or_no
from commands.print_sections.certificates import certificates_text

USAGE = f"""\
certconfig certificate import <name> <file> [--passphrase=<text>] [--fqdn=yes|no] [--overwrite]
certconfig certificate paste <name> --certificate=<file> --key=<file> [--passphrase=<text>] [--intermediate=<file>[,<file>...]] [--fqdn=yes|no] [--overwrite]
certconfig certificate new <name> --cn=<cn> --o=<o> --ou=<ou> --l=<l> --st=<st> --c=<cc> [--days=3650] [--bits=2048|1024] [--san=<dns>[,<dns>...]] [--fqdn=yes|no] [--overwrite]
certconfig certificate edit <name> [--certificate=<file>] [--intermediate=<file>[,<file>...]] [--remove-intermediate=<n>|all] [--fqdn=yes|no]
certconfig certificate csr <name> [<file>]
certconfig certificate export <name> <file> --passphrase=<text> [--legacy] [--overwrite]
certconfig certificate delete <name>
certconfig certificate list | print
certconfig certificate chaincheck on|off
certconfig certauthority print
certconfig certauthority custom enable|disable|print|check_ca_flag|import <file> [--append] [--fqdn=yes|no]|export <file> [<n>] [--overwrite]|delete <n>|detail <n>
certconfig certauthority system enable|disable|print|update|export <file> [--overwrite]|detail <n>
{CRL_USAGE}"""

_OPERATIONS = ("import", "paste", "new", "edit", "csr", "export", "delete", "list", "print", "chaincheck")
_NEW = ("cn", "o", "ou", "l", "st", "c", "days", "bits")


async def batch(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("certificate", "certauthority", "crl"):
        case "certauthority":
            return await _authority(talk, session, args)
        case "crl":
            return await crl_batch(talk, session, args)
    match args.operation(*_OPERATIONS):
        case "import":
            answers = _options(args, "passphrase", "fqdn", flags=("overwrite",))
            answers |= {"name": args.word("name"), "file": args.word("file")}
            args.end()
            await creating.import_(talk.answering(answers), session)
        case "paste":
            await _paste(talk, session, args)
        case "new":
            answers = _options(args, *_NEW, "san", "fqdn", flags=("overwrite",))
            answers |= {"name": args.word("name"), "view": "no"}
            args.end()
            san = _alternative_names(answers.pop("san", ""))
            await creating.new(talk.answering(answers), session, san)
        case "edit":
            _edit(session, args)
        case "csr":
            _csr(talk, session, args)
        case "export":
            await _export(talk, session, args)
        case "delete":
            profile = named_profile(session, args.word("name"))
            args.end()
            await certificate.delete(talk.answering({"name": profile.name}), session)
        case "list":
            args.end()
            await talk.page(certificate_table(session))
        case "print":
            args.end()
            await talk.page(certificates_text(session))
        case "chaincheck":
            on = args.operation("on", "off") == "on"
            args.end()
            authorities.change(session, check_own_chain=on)


def _options(args: Arguments, *valued: str, flags: tuple[str, ...] = ()) -> dict[str, str]:
    """The options of the line; a flag without a value means yes."""
    return {name: value or "yes" if name in flags else value for name, value in args.declare(valued=valued, flags=flags).items()}


def _alternative_names(answer: str) -> list[str]:
    names = words(answer) if answer else []
    if not all(is_fqdn(name) for name in names):
        raise Rejected(DOMAIN_RULES)
    return names


def _pem_files(session: Session, answer: str) -> str:
    """The texts of the files of a list, one after the other."""
    return "\n".join(read_pem(session, name) for name in words(answer))


async def _paste(talk: Conversation, session: Session, args: Arguments) -> None:
    answers = _options(args, "certificate", "key", "passphrase", "intermediate", "fqdn", flags=("overwrite",))
    answers |= {"name": args.word("name")}
    args.end()
    for option in ("certificate", "key", "intermediate"):
        if option not in answers and option != "intermediate":
            raise SyntaxProblem(f"Missing argument: <{option}>.")
        if option in answers:
            answers[option] = _pem_files(session, answers[option])
    await creating.paste(talk.answering(answers), session)


def _edit(session: Session, args: Arguments) -> None:
    options = args.declare(valued=("certificate", "intermediate", "remove_intermediate", "fqdn"))
    profile = named_profile(session, args.word("name"))
    args.end()
    edited = editing.begin(profile)
    if "remove_intermediate" in options:
        _remove(edited, options["remove_intermediate"])
    if "certificate" in options:
        edited.replace(session, *leaf_and_chain(_pem_files(session, options["certificate"])))
    if "intermediate" in options:
        added = certificates_in(_pem_files(session, options["intermediate"]))
        with rejecting():
            ordered = from_below([edited.leaf, *edited.intermediates], added)
            edited.intermediates = add_intermediates(edited.leaf, edited.intermediates, ordered)
    fqdn = profile.fqdn_validation and not edited.replaced
    if "fqdn" in options:
        fqdn = yes_or_no(options["fqdn"])
        if fqdn:
            check_fqdn(edited.leaf)
    edited.store(session, fqdn=fqdn)


def _remove(edited: editing.Edited, which: str) -> None:
    """Take out an intermediate by its number, or all of them."""
    if which.lower() == "all":
        edited.intermediates = []
    elif not edited.intermediates:
        raise Refused("There are no intermediate certificates.")
    else:
        del edited.intermediates[integer(1, len(edited.intermediates))(which) - 1]


def _csr(talk: Conversation, session: Session, args: Arguments) -> None:
    profile = named_profile(session, args.word("name"))
    file = args.optional()
    args.end()
    request = editing.signing_request(session, profile)
    if file is None:
        talk.say(request.rstrip("\n"))
    else:
        write_file(session, file, request.encode("ascii"))


async def _export(talk: Conversation, session: Session, args: Arguments) -> None:
    options = _options(args, "passphrase", flags=("legacy", "overwrite"))
    profile = named_profile(session, args.word("name"))
    options |= {"file": args.word("file")}
    args.end()
    legacy = yes_or_no(options.pop("legacy", "no"))
    await certificate.export(talk.answering({**options, "name": profile.name}), session, legacy=legacy)


async def _authority(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("print", "custom", "system"):
        case "print":
            args.end()
            talk.show(authorities.summary(session))
        case "custom":
            await _custom(talk, session, args)
        case "system":
            await _system(talk, session, args)


async def _custom(talk: Conversation, session: Session, args: Arguments) -> None:
    pems = authorities.settings(session).custom_list
    match args.operation("enable", "disable", "print", "check_ca_flag", "import", "export", "delete", "detail"):
        case "enable":
            args.end()
            await authorities.enable_custom(talk.answering({}), session)
        case "disable":
            args.end()
            await authorities.disable_custom(talk.answering({}), session)
        case "print":
            args.end()
            await talk.page(authorities.custom_listing(session))
        case "check_ca_flag":
            args.end()
            await authorities.check_ca_flag(talk, session)
        case "import":
            answers = _options(args, "fqdn", flags=("append",))
            append = yes_or_no(answers.pop("append", "no"))
            answers["file"] = args.word("file")
            args.end()
            await authorities.import_custom(talk.answering(answers), session, append)
        case "export":
            answers = _options(args, flags=("overwrite",)) | {"file": args.word("file")}
            number = args.optional()
            args.end()
            if not pems:
                raise Refused(authorities.NO_CUSTOM)
            if number is not None:
                answers |= {"all": "no", "number": number}
            await authorities.export_custom(talk.answering(answers), session)
        case "delete":
            number = args.word("n")
            args.end()
            pem = _numbered(pems, number)
            await authorities.delete_custom(talk.answering({"number": str(pems.index(pem) + 1)}), session)
        case "detail":
            number = args.word("n")
            args.end()
            await talk.page(authority_details(session, _numbered(pems, number)))


async def _system(talk: Conversation, session: Session, args: Arguments) -> None:
    match args.operation("enable", "disable", "print", "update", "export", "detail"):
        case "enable":
            args.end()
            await authorities.enable_system(talk.answering({}), session)
        case "disable":
            args.end()
            await authorities.disable_system(talk.answering({}), session)
        case "print":
            args.end()
            await talk.page(authorities.system_listing(session))
        case "update":
            args.end()
            await authorities.update_system(talk.answering({}), session)
        case "export":
            answers = _options(args, flags=("overwrite",)) | {"file": args.word("file")}
            args.end()
            await authorities.export_system(talk.answering(answers), session)
        case "detail":
            number = args.word("n")
            args.end()
            await talk.page(authority_details(session, _numbered(authorities.system_pems(session), number)))


def _numbered(pems: tuple[str, ...] | list[str], number: str) -> str:
    """The certificate at a position of PRINT. Errors: Refused, Rejected."""
    if not pems:
        raise Refused(authorities.NO_CUSTOM)
    return pems[integer(1, len(pems))(number) - 1]
