"""deliveryconfig: transcript, bounds, interface groups, batch lines (routing.md 4)."""

import pytest
from attrs import evolve

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.delivery import DeliverySettings
from appliance_state.model.interfaces import FACTORY_INTERFACE, InterfaceGroup
from appliance_state.table import Table
from commands.deliveryconfig import COMMAND
from tests.support.appliance import make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

STATUS = """\
Default interface to deliver mail: Auto
"Possible Delivery": Enabled
Default system wide maximum outbound message delivery concurrency: 10000
Default system wide TLS maximum outbound message delivery concurrency: 100
"""


def session_with(*, source: str = "Auto") -> Session:
    interface = evolve(FACTORY_INTERFACE, ipv4="192.168.0.199", hostname="myesa.local")
    groups = Table([InterfaceGroup(name="Outbound", members=frozenset({"Management"}))])
    return make_session(Config().with_(interfaces=Table([interface]), interface_groups=groups, delivery=DeliverySettings(interface=source)))


async def test_transcript_of_the_specification() -> None:
    session = make_session(Config().with_(interfaces=Table([evolve(FACTORY_INTERFACE, ipv4="192.168.0.199", hostname="myesa.local")])))
    assert await run_dialog(COMMAND, session, ["setup", "", "", "", "", ""]) == (
        f"""\
{STATUS}
Choose the operation you want to perform:
- SETUP - Configure mail delivery.
[]> setup

Choose the default interface to deliver mail.
1. Auto
2. Management (192.168.0.199/24: myesa.local)
[1]> 

Enable "Possible Delivery" (recommended)? [Y]> 

Please enter the default system wide maximum outbound message delivery concurrency.
[10000]> 

Please enter the default system wide TLS maximum outbound message delivery concurrency.
[100]> 

{STATUS}
Choose the operation you want to perform:
- SETUP - Configure mail delivery.
[]> 
"""
    )
    assert not session.draft.changed


async def test_every_answer_is_stored_and_offered_again() -> None:
    session = session_with()
    screen = await run_dialog(COMMAND, session, ["setup", "outbound", "n", "1", "10000", "setup", "", "", "", "", ""])
    assert "2. Management (192.168.0.199/24: myesa.local)\n3. Outbound\n[1]> outbound\n" in screen
    assert 'Default interface to deliver mail: Outbound\n"Possible Delivery": Disabled\n' in screen
    assert "\n[3]> \n" in screen and "(recommended)? [N]> \n" in screen and "\n[1]> \n" in screen and "\n[10000]> \n" in screen
    assert session.draft.config.delivery == DeliverySettings(
        interface="Outbound", possible_delivery=False, max_concurrency=1, tls_max_concurrency=10000
    )


@pytest.mark.parametrize("before", [2, 3])
async def test_bounds(before: int) -> None:
    session = session_with()
    screen = await run_dialog(COMMAND, session, ["setup", *[""] * before, "0", "10001", CTRL_C])
    assert screen.count("The value must be an integer from 1 to 10000.\n\nPlease enter the default system wide ") == 2
    assert not session.draft.changed


async def test_an_interface_that_is_gone_is_not_offered() -> None:
    session = session_with(source="Data")
    await run_dialog(COMMAND, session, ["setup", "", "", "", "", ""])
    assert session.draft.config.delivery.interface == "Auto"


async def test_batch() -> None:
    session = session_with()
    assert await run_batch(COMMAND, session, "deliveryconfig print") == (STATUS, False)
    line = "deliveryconfig setup --interface=management --possible_delivery=no --max_concurrency=5 --tls_max_concurrency=6"
    assert await run_batch(COMMAND, session, line) == ("", False)
    assert session.draft.config.delivery == DeliverySettings(
        interface="Management", possible_delivery=False, max_concurrency=5, tls_max_concurrency=6
    )
    assert await run_batch(COMMAND, session, "deliveryconfig setup --max_concurrency=7") == ("", False)
    assert session.draft.config.delivery == DeliverySettings(
        interface="Management", possible_delivery=False, max_concurrency=7, tls_max_concurrency=6
    )


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("setup --interface=nosuch", "The value must be an integer from 1 to 3."),
        ("setup --possible_delivery=maybe", "Please answer Yes or No."),
        ("setup --max_concurrency=0", "The value must be an integer from 1 to 10000."),
        ("setup --tls_max_concurrency=10001", "The value must be an integer from 1 to 10000."),
        ("setup x", "Invalid arguments when processing deliveryconfig:\nToo many arguments.\n: 'x'"),
        ("new", "Invalid arguments when processing deliveryconfig:\nUnknown operation.\n: 'new'"),
    ],
)
async def test_batch_lines_that_fail_store_nothing(line: str, output: str) -> None:
    session = session_with()
    assert await run_batch(COMMAND, session, f"deliveryconfig {line}") == (f"{output}\n", True)
    assert not session.draft.changed
