"""Copying files with the scp program and by hand (conventions.md 16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from appliance_state.model.users import Role
from asyncos_shell.scp import LARGEST, Failed, Request, name_in_directory, parse
from commands.registry import Registry
from tests.support.ssh import Service, client_options, run, ssh_service
from tests.support.wire import until


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with ssh_service(tmp_path, Registry()) as running:
        yield running


async def scp(service: Service, *arguments: str) -> tuple[int, str]:
    """(status, errors); `:` at the start of an argument stands for the appliance."""
    places = [f"admin@127.0.0.1{word}" if word.startswith(":") else word for word in arguments]
    command = ["scp", "-O", *client_options(service.key_file), "-P", str(service.port), *places]
    status, _, errors = await run(command)
    return status, errors.decode()


def stored(service: Service) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in service.appliance.files.iterdir()}


@pytest.mark.parametrize("target", [":/configuration/x.p12", ":/configuration/", ":x.p12", ":", ":./x.p12", ":/configuration"])
@pytest.mark.parametrize("content", [b"", b"one\n", bytes(range(256)) * 5000])
async def test_round_trip(service: Service, tmp_path: Path, target: str, content: bytes) -> None:
    source, back = tmp_path / "x.p12", tmp_path / "back"
    source.write_bytes(content)
    assert await scp(service, "-p", "-q", str(source), target) == (0, "")
    assert stored(service) == {"x.p12": content}
    assert (service.appliance.files / "x.p12").stat().st_mode & 0o777 == 0o600
    assert await scp(service, ":/configuration/x.p12", str(back)) == (0, "")
    assert back.read_bytes() == content


async def test_an_existing_file_is_replaced(service: Service, tmp_path: Path) -> None:
    source = tmp_path / "x"
    for content in (b"one", b"", b"three"):
        source.write_bytes(content)
        assert (await scp(service, str(source), ":/configuration/x"))[0] == 0
        assert stored(service) == {"x": content}


async def test_several_files_and_wildcards(service: Service, tmp_path: Path) -> None:
    names = ("a.pem", "b.pem", "c.key")
    for name in names:
        (tmp_path / name).write_text(name)
    assert (await scp(service, *(str(tmp_path / name) for name in names), ":/configuration/"))[0] == 0
    assert sorted(stored(service)) == sorted(names)
    target = tmp_path / "got"
    target.mkdir()
    assert (await scp(service, ":/configuration/?.pem", str(target)))[0] == 0
    assert sorted(path.name for path in target.iterdir()) == ["a.pem", "b.pem"]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (":/etc/", "scp: /etc/: Permission denied"),
        (":/configuration/../x", "scp: /configuration/../x: Permission denied"),
        (":/configuration/a/b", "scp: /configuration/a/b: Permission denied"),
        (":..", "scp: ..: Permission denied"),
        (":/configuration/a=b", "scp: a=b: Symbols are not allowed in the file name"),
        (":/configuration/.x", "scp: .x: Symbols are not allowed in the file name"),
        (":/configuration/link", "scp: link: Permission denied"),
    ],
)
async def test_refused_targets(service: Service, tmp_path: Path, target: str, text: str) -> None:
    source = tmp_path / "x"
    source.write_text("content")
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    link = service.appliance.files / "link"
    link.symlink_to(outside)
    status, errors = await scp(service, str(source), target)
    assert status == 1 and text in errors
    assert stored(service) == {"link": b"untouched"} and link.is_symlink()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (":/configuration/nosuch", "scp: /configuration/nosuch: No such file or directory"),
        (":/configuration/*.pem", "scp: /configuration/*.pem: No such file or directory"),
        (":/etc/passwd", "scp: /etc/passwd: Permission denied"),
        (":/configuration/link", "scp: link: Permission denied"),
    ],
)
async def test_refused_sources(service: Service, tmp_path: Path, source: str, text: str) -> None:
    (service.appliance.files / "link").symlink_to("/etc/passwd")
    status, errors = await scp(service, source, str(tmp_path / "got"))
    assert status == 1 and text in errors
    assert not (tmp_path / "got").exists()


async def test_recursive_copies_are_refused(service: Service, tmp_path: Path) -> None:
    status, errors = await scp(service, "-r", str(tmp_path), ":/configuration/")
    assert status == 1 and "scp: recursive copies are not supported" in errors


async def test_more_than_16_mib_is_refused(service: Service, tmp_path: Path) -> None:
    source = tmp_path / "big"
    with source.open("wb") as file:
        file.truncate(LARGEST + 1)
    status, errors = await scp(service, str(source), ":/configuration/")
    assert status == 1 and "scp: big: File too large" in errors
    assert stored(service) == {}


@pytest.mark.parametrize("role", [Role.GUEST, Role.READONLY, Role.HELPDESK])
async def test_roles_without_access(service: Service, tmp_path: Path, role: Role) -> None:
    service.appliance.set_user(attrs.evolve(service.appliance.config.users["admin"], role=role))
    source = tmp_path / "x"
    source.write_text("content")
    status, errors = await scp(service, str(source), ":/configuration/x")
    assert status == 1 and "scp: /configuration/x: Permission denied" in errors
    assert stored(service) == {}


async def test_an_interrupted_upload_leaves_the_old_file(service: Service) -> None:
    (service.appliance.files / "x").write_bytes(b"old")
    async with service.connected() as connection:
        process = await connection.create_process("scp -t /configuration/x", encoding=None)
        async with asyncio.timeout(5):
            assert await process.stdout.readexactly(1) == b"\0"
            process.stdin.write(b"C0644 100 x\n")
            assert await process.stdout.readexactly(1) == b"\0"
            process.stdin.write(b"half")
            process.stdin.write_eof()
            await process.wait_closed()
    assert process.exit_status == 1
    assert stored(service) == {"x": b"old"}
    await until(lambda: service.idle)


@pytest.mark.parametrize("record", ["Cx y z\n", "C0644 -1 x\n", "C0644\n", "?\n", "D0755 0 folder\n"])
async def test_bad_records_are_refused(service: Service, record: str) -> None:
    async with service.connected() as connection:
        process = await connection.create_process("scp -t /configuration/")
        process.stdin.write(record)
        async with asyncio.timeout(5):
            output = await process.stdout.read()
            await process.wait_closed()
    assert output.startswith("\0\x01scp: ") and output.endswith("\n")
    assert process.exit_status == 1
    assert stored(service) == {}


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ("scp -t /configuration/x", Request(False, "/configuration/x", False)),
        ("scp -v -p -d -t -- '/configuration/a b'", Request(False, "/configuration/a b", False)),
        ("scp -f .", Request(True, ".", False)),
        ("scp -rt x", Request(False, "x", True)),
        ("scp", None),
        ("scp x y", None),
        ("scp -t -f x", None),
        ("scp -t x y", None),
        ("scp -tz x", None),
        ("scp -t 'x", None),
        ("version", None),
        ("", None),
    ],
)
def test_requests(command: str, request_: Request | None) -> None:
    assert parse(command) == request_


@pytest.mark.parametrize("path", ["/", "/etc", "..", "/configuration/..", "a/b", "/configurationx", "../configuration/x"])
def test_other_places(path: str) -> None:
    with pytest.raises(Failed):
        name_in_directory(path)
