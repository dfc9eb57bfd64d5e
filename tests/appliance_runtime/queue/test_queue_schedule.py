"""The schedule against a plain list of recipients: what is due, in which order, who is told when (delivery.md 2.3, 8.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance_runtime.queue.envelope import Envelope
from appliance_runtime.queue.schedule import Recipient, Schedule

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


def envelope(mid: int, *recipients: str, received: datetime = START) -> Envelope:
    return Envelope(
        mid=mid,
        sender="a@example.com",
        recipients=recipients,
        received=received,
        listener="In",
        bounce_profile="Default",
        direction="inbound",
        icid=1,
        size=10,
        checksum=0,
        spool=None,
    )


def add(schedule: Schedule, mid: int, *domains: str, now: datetime = START) -> None:
    recipients = [Recipient(rid, f"u@{domain}", domain, now) for rid, domain in enumerate(domains)]
    schedule.add(envelope(mid, *(r.address for r in recipients), received=now), recipients, now)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_first_in_first_out_by_due_time_then_mid() -> None:
    schedule = Schedule()
    for mid in (3, 1, 2):
        add(schedule, mid, "d.test")
    add(schedule, 4, "d.test", now=later(-5))
    assert [m.mid for m in schedule.lease("d.test", START, 3)] == [4, 1, 2]
    assert [m.mid for m in schedule.lease("d.test", START, 3)] == [3]
    assert schedule.lease("d.test", START, 3) == []
    assert schedule.lease("other.test", START, 3) == []


def test_one_message_is_leased_with_its_recipients_of_one_domain() -> None:
    schedule = Schedule()
    add(schedule, 1, "a.test", "b.test", "a.test")
    (message,) = schedule.lease("a.test", START, 10)
    assert [r.rid for r in message.recipients] == [0, 2]
    assert schedule.domains_due(START) == ["b.test"]
    schedule.release(1, "a.test", START)
    assert schedule.domains_due(START) == ["a.test", "b.test"]


def test_complete() -> None:
    schedule = Schedule()
    add(schedule, 1, "a.test", "b.test", "a.test")
    assert not schedule.complete(1, [0], START)
    assert not schedule.complete(1, [1], START)
    assert (schedule.active_recipients, list(schedule.domains())) == (1, [("a.test", 1, 0)])
    assert schedule.complete(1, [2], START)
    assert (schedule.active_recipients, list(schedule.domains()), schedule.messages) == (0, [], {})
    assert schedule.complete(1, [2], START)  # unknown: nothing left


def test_deferred_recipients_of_one_second_share_an_attempt() -> None:
    schedule = Schedule()
    add(schedule, 1, "d.test")
    add(schedule, 2, "d.test")
    schedule.lease("d.test", START, 10)
    schedule.defer(1, [0], later(60.9), "busy", START)
    schedule.defer(2, [0], later(60.1), "busy", START)
    assert schedule.next_due() == later(60.1)
    assert schedule.wake(later(59.9)) == []
    assert schedule.lease("d.test", later(59.9), 10) == []
    assert schedule.wake(later(60.1)) == ["d.test"]
    assert schedule.next_due() is None
    taken = schedule.lease("d.test", later(60.1), 10)
    assert [(m.mid, m.recipients[0].attempts, m.recipients[0].last_reason) for m in taken] == [(2, 1, "busy"), (1, 1, "busy")]
    assert schedule.attempted_recipients == 2


def test_a_parcel_is_leased_to_one_delivery_at_a_time() -> None:
    schedule = Schedule()
    add(schedule, 1, "d.test", "d.test")
    schedule.lease("d.test", START, 10)
    schedule.defer(1, [0], later(10), "busy", START)
    assert schedule.lease("d.test", later(20), 10) == []  # recipient 1 is still under way
    schedule.complete(1, [1], later(20))
    assert [m.mid for m in schedule.lease("d.test", later(20), 10)] == [1]


def test_postponed_recipients_have_no_attempt_more() -> None:
    schedule = Schedule()
    add(schedule, 1, "d.test")
    schedule.lease("d.test", START, 1)
    schedule.defer(1, [0], later(60), "", START, failed=False)
    (message,) = schedule.lease("d.test", later(60), 1)
    assert (message.recipients[0].attempts, schedule.attempted_recipients) == (0, 0)


def test_hurry_spares_what_is_under_way_and_other_domains() -> None:
    schedule = Schedule()
    for mid, domain in ((1, "a.test"), (2, "a.test"), (3, "b.test")):
        add(schedule, mid, domain)
        schedule.lease(domain, START, 1)
    for mid in (1, 3):
        schedule.defer(mid, [0], later(600), "busy", START)
    assert schedule.hurry("a.test", later(5)) == {"a.test"}
    assert [m.mid for m in schedule.lease("a.test", later(5), 10)] == [1]
    assert schedule.lease("b.test", later(5), 10) == []
    assert schedule.hurry(None, later(6)) == {"b.test"}


def test_claim_for_an_operator() -> None:
    schedule = Schedule()
    add(schedule, 1, "a.test", "b.test")
    schedule.lease("a.test", START, 1)
    claimed = schedule.claim(1, [0, 1], START)
    assert claimed is not None and [r.rid for r in claimed.recipients] == [1]  # 0 is in transmission
    assert schedule.domains_due(START) == []
    assert schedule.claim(1, [0, 1], START) is None
    assert schedule.claim(9, [0], START) is None


def test_oldest() -> None:
    schedule = Schedule()
    add(schedule, 1, "a.test", now=later(5))
    add(schedule, 2, "a.test", now=later(3))
    oldest = schedule.oldest()
    assert oldest is not None and oldest.mid == 2
    schedule.complete(2, [0], later(9))
    oldest = schedule.oldest()
    assert oldest is not None and oldest.mid == 1
    schedule.complete(1, [0], later(9))
    assert schedule.oldest() is None


@define
class Plain:
    """A recipient of the model."""

    mid: int
    rid: int
    domain: str
    due: float
    leased: bool = False


DOMAINS = ("a.test", "b.test", "c.test")
step = st.one_of(
    st.tuples(st.just("add"), st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=4)),
    st.tuples(st.just("lease"), st.sampled_from(DOMAINS), st.integers(1, 3)),
    st.tuples(st.sampled_from(["done", "defer", "release"]), st.integers(0, 50), st.integers(1, 90)),
    st.tuples(st.just("advance"), st.integers(1, 40)),
    st.tuples(st.just("hurry"), st.sampled_from(DOMAINS)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(step, max_size=40))
def test_against_a_list(steps: list[tuple[object, ...]]) -> None:
    schedule, model, now, mid = Schedule(), list[Plain](), 0.0, 0

    def due(domain: str) -> list[int]:
        """MIDs with something due that is not leased, in order."""
        held = {p.mid for p in model if p.domain == domain and p.leased}
        firsts: dict[int, float] = {}
        for p in model:
            if p.domain == domain and p.mid not in held:
                firsts[p.mid] = min(p.due, firsts.get(p.mid, p.due))
        return [m for m, first in sorted(firsts.items(), key=lambda item: (item[1], item[0])) if first <= now]

    for kind, *rest in steps:
        if kind == "add":
            mid += 1
            domains = rest[0]
            assert isinstance(domains, list)
            add(schedule, mid, *domains, now=later(now))
            model += [Plain(mid, rid, domain, now) for rid, domain in enumerate(domains)]
        elif kind == "lease":
            domain, limit = rest
            assert isinstance(domain, str) and isinstance(limit, int)
            expected = due(domain)[:limit]
            taken = schedule.lease(domain, later(now), limit)
            assert [m.mid for m in taken] == expected
            for message in taken:
                rids = {p.rid for p in model if p.mid == message.mid and p.domain == domain and p.due <= now}
                assert {r.rid for r in message.recipients} == rids
                for p in model:
                    if p.mid == message.mid and p.domain == domain:
                        p.leased = p.rid in rids
        elif kind in ("done", "defer", "release"):
            leased = [p for p in model if p.leased]
            if not leased:
                continue
            index, seconds = rest
            assert isinstance(index, int) and isinstance(seconds, int)
            chosen = leased[index % len(leased)]
            if kind == "done":
                schedule.complete(chosen.mid, [chosen.rid], later(now))
                model.remove(chosen)
            elif kind == "defer":
                schedule.defer(chosen.mid, [chosen.rid], later(now + seconds), "x", later(now))
                chosen.due, chosen.leased = now + seconds, False
            else:
                schedule.release(chosen.mid, chosen.domain, later(now))
                for p in model:
                    if (p.mid, p.domain) == (chosen.mid, chosen.domain):
                        p.leased = False
        elif kind == "advance":
            assert isinstance(rest[0], int)
            upcoming = schedule.next_due()
            now += rest[0]
            woken = schedule.wake(later(now))
            assert (upcoming is not None and upcoming <= later(now)) or not woken
        elif kind == "hurry":
            domain = rest[0]
            assert isinstance(domain, str)
            schedule.hurry(domain, later(now))
            for p in model:
                if p.domain == domain and not p.leased:
                    p.due = min(p.due, now)
        assert set(schedule.domains_due(later(now))) == {domain for domain in DOMAINS if due(domain)}
        waiting = [
            min(p.due for p in model if (p.mid, p.domain) == which)
            for which in {(p.mid, p.domain) for p in model}
            if not any(p.leased for p in model if (p.mid, p.domain) == which) and not due(which[1])
        ]
        assert schedule.next_due() == (later(min(waiting)) if waiting else None)
        assert schedule.active_recipients == len(model)
        assert {name: active for name, active, _ in schedule.domains()} == {
            domain: count for domain in DOMAINS if (count := sum(p.domain == domain for p in model))
        }


def test_what_is_in_the_work_queue_counts_for_no_domain() -> None:
    schedule = Schedule()
    recipients = [Recipient(0, "u@d.test", "d.test", START), Recipient(1, "u@e.test", "e.test", START)]
    assert schedule.add(envelope(1, "u@d.test", "u@e.test"), recipients, START, unprocessed=True) == {"d.test", "e.test"}
    assert (schedule.active_recipients, list(schedule.domains()), schedule.domains_due(START)) == (0, [], [])
    assert schedule.hurry(None, START) == set()
    assert list(schedule.unprocessed) == [1]
    assert not schedule.complete(1, [1], START)
    assert schedule.process(START, 10, 0) == ({"d.test"}, False)
    assert (schedule.active_recipients, schedule.domains_due(START), schedule.unprocessed) == (1, ["d.test"], {})
    assert [m.mid for m in schedule.lease("d.test", START, 10)] == [1]


def test_a_message_that_is_removed_from_the_work_queue_is_gone() -> None:
    schedule = Schedule()
    schedule.add(envelope(1, "u@d.test"), [Recipient(0, "u@d.test", "d.test", START)], START, unprocessed=True)
    assert schedule.complete(1, [0], START)
    assert (schedule.process(START, 10, 0), schedule.messages, schedule.oldest()) == ((set(), False), {}, None)


def test_what_is_suspended_waits_with_its_old_due_times() -> None:
    schedule = Schedule()
    add(schedule, 1, "d.test", "e.test")
    add(schedule, 2, "d.test", now=later(60))
    assert schedule.suspend("d.test", later(0), 10) == [1]
    assert schedule.suspend("d.test", later(0), 10) == []
    assert schedule.domains_due(later(0)) == ["e.test"]
    assert schedule.recipients("d.test") == (2, 0)
    assert schedule.hurry("d.test", later(0)) == {"d.test"}, "only the other message waits"
    assert schedule.suspend("d.test", later(0), 10) == [2]
    assert schedule.next_due() is None
    assert schedule.resume(lambda domain: domain == "e.test", later(5)) == set()
    assert schedule.resume(lambda domain: True, later(5)) == {"d.test"}
    assert [m.mid for m in schedule.lease("d.test", later(5), 10)] == [1, 2]


def test_what_is_suspended_can_be_claimed_and_given_back() -> None:
    schedule = Schedule()
    add(schedule, 1, "d.test")
    schedule.suspend("d.test", START, 10)
    claimed = schedule.claim(1, [0], START)
    assert claimed is not None and [r.rid for r in claimed.recipients] == [0]
    schedule.release(1, "d.test", START)
    assert schedule.domains_due(START) == []
    assert schedule.complete(1, [0], START)
    assert list(schedule.domains()) == []


def test_the_work_queue_is_emptied_some_at_a_time_and_not_of_the_next_pause() -> None:
    schedule = Schedule()
    for mid, pause in ((5, 1), (2, 1), (7, 1), (9, 2)):
        held = envelope(mid, "u@d.test")._replace(pause=pause)
        schedule.add(held, [Recipient(0, "u@d.test", "d.test", START)], START, unprocessed=True)
    assert schedule.process(START, 2, 2) == ({"d.test"}, True)
    assert list(schedule.unprocessed) == [7, 9]
    assert schedule.process(START, 2, 2) == ({"d.test"}, False)
    assert list(schedule.unprocessed) == [9]
    assert schedule.process(START, 2, 0) == ({"d.test"}, False)
    assert [m.mid for m in schedule.lease("d.test", START, 10)] == [2, 5, 7, 9]


def test_so_many_are_set_aside_at_a_time() -> None:
    schedule = Schedule()
    for mid in range(1, 6):
        add(schedule, mid, "d.test")
    assert [schedule.suspend("d.test", START, 2) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


def test_whether_something_is_due_can_be_asked_before_it_is_leased() -> None:
    schedule = Schedule()
    assert not schedule.is_due("d.test")
    add(schedule, 1, "d.test")
    assert schedule.is_due("d.test")
    schedule.lease("d.test", START, 1)
    assert not schedule.is_due("d.test")
    schedule.release(1, "d.test", START)
    assert schedule.is_due("d.test")
    schedule.lease("d.test", START, 1)
    schedule.defer(1, [0], later(60), "busy", START)
    assert not schedule.is_due("d.test")
    assert schedule.wake(later(60)) == ["d.test"]
    assert schedule.is_due("d.test")
