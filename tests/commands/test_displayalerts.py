"""displayalerts: layout, order, count (alertconfig.md 6)."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import evolve

from appliance_runtime.addresses import AddressMap
from appliance_runtime.alerts import Alerts
from appliance_runtime.alerts.store import StoredAlert
from appliance_runtime.sessions import Session
from appliance_state.model import Config
from appliance_state.model.system import System
from commands.displayalerts import COMMAND, alerts_text
from tests.support.appliance import DialogAppliance, make_appliance, make_session
from tests.support.terminal import run_batch, run_dialog

HEADING = """\
Date and Time Stamp         Description
--------------------------------------------------------------------------------
"""
UPDATER = StoredAlert(
    at=datetime(2015, 3, 10, 11, 33, 36, tzinfo=UTC),
    alert_id="updater.failed",
    alert_class="Updater",
    severity="Warning",
    text="The updater has been unable to communicate with the update server for at least 1h.\n\n"
    "Last message occurred 28 times between Tue Mar 10 10:34:57 2015 and Tue Mar 10 11:32:24 2015.",
)
DANE = evolve(
    UPDATER,
    at=datetime(2015, 3, 10, 11, 23, 39, tzinfo=UTC),
    text="DANE verification failed for all MX hosts of the domain partner.test.\nmx1.partner.test: no matching TLSA record",
)


def test_layout_of_the_specification() -> None:
    assert (
        f"{alerts_text([UPDATER, DANE], 'GMT')}\n"
        == f"""\
{HEADING}10 Mar 2015 11:33:36 +0000  The updater has been unable to communicate with the update server for at least 1h.
                            Last message occurred 28 times between Tue Mar 10 10:34:57 2015 and Tue Mar 10 11:32:24 2015.
10 Mar 2015 11:23:39 +0000  DANE verification failed for all MX hosts of the domain partner.test.
                            mx1.partner.test: no matching TLSA record
"""
    )


def test_dates_follow_the_time_zone_and_foreign_text_is_harmless() -> None:
    row = alerts_text([evolve(DANE, text="bad \x1b[2J text")], "Asia/Tokyo").splitlines()[2]
    assert row == "10 Mar 2015 20:23:39 +0900  bad \\x1b[2J text"


class AlertingAppliance(DialogAppliance):
    """With stored alerts."""

    alerts: Alerts


@pytest.fixture
def session() -> Session:
    plain = make_appliance(Config().with_(system=System(timezone="Asia/Tokyo")))
    appliance = AlertingAppliance(config=plain.config, files=plain.files)
    live = lambda: cast(Any, SimpleNamespace(config=appliance.config))  # noqa: E731
    appliance.alerts = Alerts(live, appliance.logs, appliance.clock, cast(Any, None), AddressMap.parse([]), appliance.product)
    return make_session(appliance=appliance)


async def test_the_last_ones_newest_first(session: Session) -> None:
    assert await run_dialog(COMMAND, session, []) == "There are no alerts to display.\n"
    clock = cast(AlertingAppliance, session.appliance).clock
    alerts = session.appliance.alerts
    for number in range(3):
        alerts.raise_("log.removed", f"log-{number}", "System", "Warning", f"Alert {number}")
        await clock.advance(timedelta(minutes=1).total_seconds())
    rows = [f"24 Nov 2026 18:0{number}:00 +0900  Alert {number}\n" for number in (2, 1, 0)]
    assert await run_dialog(COMMAND, session, []) == HEADING + "".join(rows)
    assert await run_batch(COMMAND, session, "displayalerts 2") == (HEADING + "".join(rows[:2]), False)
    await alerts.close()


@pytest.mark.parametrize("answer", ["0", "501", "x", "-1"])
async def test_a_number_that_is_refused(session: Session, answer: str) -> None:
    assert await run_batch(COMMAND, session, f"displayalerts {answer}") == ("The value must be an integer from 1 to 500.\n", True)


async def test_too_many_arguments(session: Session) -> None:
    assert (await run_batch(COMMAND, session, "displayalerts 1 2"))[1]
