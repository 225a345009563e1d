"""Events are delivered to a real server, whatever that answers, and counted if they are not."""

import gzip
import logging
from datetime import UTC, datetime, timedelta

import pytest

from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep.config import HttpSettings
from flagkeep.testing import Scripted
from tests._async.event_sending import AsyncSending
from tests._async.waiting import until
from tests.limits import check_within

PASSING = [400, 408, 429, 500, 503]


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "flagkeep.events" and record.levelno >= level
    ]


# --- what is sent -------------------------------------------------------------------------------


async def test_a_flush_posts_one_payload() -> None:
    async with AsyncSending() as sending:
        assert await sending.deliver("a", "b")
        (request,) = sending.upstream.requests
        assert (request.method, request.path) == ("POST", "/bulk")
        assert request.json() == [{"kind": "custom", "key": "a"}, {"kind": "custom", "key": "b"}]
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-launchdarkly-event-schema"] == "4"
        assert request.headers["authorization"] == "sdk-key"
        assert request.headers["user-agent"] == "Test/1"
        assert request.headers["x-launchdarkly-instance-id"] == "one"
        assert "content-encoding" not in request.headers


async def test_each_payload_has_an_id_of_its_own() -> None:
    async with AsyncSending() as sending:
        for key in "abc":
            assert await sending.deliver(key)
        assert len(set(sending.ids)) == 3
        assert all(len(one) == 36 and one[14] == "4" for one in sending.ids)  # UUIDs


async def test_a_slash_at_the_end_of_the_base_uri_is_not_doubled() -> None:
    async with AsyncSending() as sending:
        uri = f"{sending.upstream.uri}/events/"
        async with AsyncSending(base_uri=uri) as other:
            await other.deliver("a", timeout=0.5)
        assert [one.path for one in sending.upstream.requests] == ["/events/bulk"]


async def test_a_payload_can_be_compressed() -> None:
    async with AsyncSending(compress=True) as sending:
        assert await sending.deliver("a" * 1000)
        sending.sender.post_diagnostic(b'{"kind":"diagnostic"}')
        await sending.upstream.wait_for_request("/diagnostic")
        for request in sending.upstream.requests:
            assert request.headers["content-encoding"] == "gzip"
            assert gzip.decompress(request.raw_body) == request.body
        assert sending.delivered == ["a" * 1000]


async def test_an_end_that_is_interrupted_while_it_takes_events_can_be_begun_again() -> None:
    async with AsyncSending() as sending:
        sending.interrupts = 1
        sending.record("a")
        with pytest.raises(KeyboardInterrupt):
            await sending.sender.stop(5.0)
        assert await sending.sender.stop(5.0) == {}
        assert sending.delivered == ["a"]


async def test_a_lack_of_memory_while_events_are_taken_holds_up_no_later_ones() -> None:
    async with AsyncSending() as sending:
        sending.lacks_memory = 1
        assert not await sending.deliver("a", timeout=0.05)
        assert await sending.deliver("b")
        assert sending.delivered == ["a", "b"]


async def test_nothing_to_send_is_no_request() -> None:
    async with AsyncSending() as sending:
        assert await sending.deliver()
        assert await sending.sender.stop(5.0) == {}
        assert sending.upstream.requests == []


async def test_events_are_delivered_in_intervals() -> None:
    async with AsyncSending(flush_interval=0.01) as sending:
        for key in "abc":
            sending.record(key)
            await until(lambda key=key: key in sending.delivered)  # type: ignore[misc]
        assert sending.delivered == ["a", "b", "c"]


async def test_a_flush_can_be_asked_for_without_waiting() -> None:
    async with AsyncSending() as sending:
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_events()
        assert sending.delivered == ["a"]


async def test_what_is_recorded_while_a_payload_is_under_way_is_sent_after_it() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(202, delay=0.1))
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk")
        sending.record("b")
        sending.sender.flush_soon()
        sending.record("c")
        assert await sending.sender.flush(10.0)
        assert sending.tried == [["a"], ["b", "c"]]


async def test_many_flushes_at_once_lose_and_double_nothing() -> None:
    async with AsyncSending() as sending:

        async def flush(name: str) -> None:
            for number in range(10):
                key = f"{name}{number}"
                assert await sending.deliver(key)
                assert key in sending.delivered

        tasks = [runtime.spawn("test", lambda name=name: flush(name)) for name in "abcde"]  # type: ignore[misc]
        assert all([await task.join(30.0) for task in tasks])
        assert sorted(sending.delivered) == sorted(f"{n}{i}" for n in "abcde" for i in range(10))


# --- what is answered ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        *(pytest.param(Scripted(status), id=str(status)) for status in PASSING),
        pytest.param(Scripted(304), id="304"),
        pytest.param(Scripted(behaviour="close"), id="close"),
        pytest.param(Scripted(behaviour="reset"), id="reset"),
    ],
)
async def test_what_passes_is_sent_again_after_a_second_under_the_same_id(answer: Scripted) -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/bulk", answer)
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk")
        begun = runtime.monotonic()
        sending.upstream.always("/bulk", None)
        await sending.upstream.wait_for_events()
        assert runtime.monotonic() - begun > 0.7
        check_within(5.0, since=begun)
        assert sending.delivered == ["a"]
        assert len(set(sending.ids)) == 1
        assert sending.sender.dropped == {}


@pytest.mark.slow
async def test_fix_what_failed_twice_is_kept_and_delivered_later() -> None:
    """FIX (events.md 8): one retry and then dropped with a warning."""
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(503), Scripted(503))
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk", 2)
        await sending.deliver("b")
        await until(lambda: sorted(sending.delivered) == ["a", "b"])
        assert sending.sender.dropped == {}


@pytest.mark.parametrize("status", [401, 403])
async def test_fix_a_refused_key_is_one_error_and_disables_nothing(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """FIX (events.md 8): analytics were disabled for the client's life."""
    caplog.set_level(logging.INFO)
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(status))
        assert not await sending.deliver("a")
        assert not await sending.deliver("b")
        assert len(sending.tried) == 1  # nothing more for minutes
        (error,) = lines(caplog)
        assert f"answered {status}" in error
        assert "check the SDK key" in error
        assert "sdk-key" not in error
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a", "b"]


async def test_fix_what_is_too_large_is_split_and_a_single_event_dropped_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """FIX (events.md 8): 413 disabled everything."""
    caplog.set_level(logging.INFO)
    async with AsyncSending() as sending:
        sending.upstream.always(
            "/bulk", lambda request: Scripted(413) if len(request.body) > 200 else None
        )
        assert not await sending.deliver("a", "b", "x" * 500, "y" * 400, "c", "d")
        assert sending.delivered == ["a", "b", "c", "d"]
        assert sending.sender.dropped == {"too_large": 2}
        assert len(set(sending.ids)) == len(sending.ids)
        (warning,) = lines(caplog)
        assert "is dropped" in warning
        assert await sending.deliver("e")


@pytest.mark.parametrize("status", [402, 404, 405, 415])
async def test_what_is_rejected_is_dropped_and_counted_and_the_next_goes(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(status), Scripted(status))
        assert not await sending.deliver("a", "b")
        assert not await sending.deliver("c")
        assert await sending.deliver("d")
        assert sending.delivered == ["d"]
        assert await sending.sender.stop(1.0) == {"rejected": 3}
        (warning,) = lines(caplog)
        assert f"answered {status}" in warning


async def test_trouble_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with AsyncSending() as sending:
        sending.upstream.stop_listening()
        for key in "abc":
            assert not await sending.deliver(key, timeout=0.1)
        sending.upstream.start_listening()
        assert await sending.deliver("d")
        warning, info = lines(caplog)
        assert "cannot be delivered now" in warning
        assert "they wait" in warning
        assert "delivered again" in info
        assert sorted(sending.delivered) == ["a", "b", "c", "d"]


async def test_what_waits_is_bounded_and_the_newest_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncSending(max_bytes=20_000) as sending:
        sending.upstream.stop_listening()
        for number in range(40):
            assert not await sending.deliver(f"{number:01000}", timeout=0.01)
        sending.upstream.start_listening()
        assert not await sending.deliver("last", timeout=0.0)
        lost = (await sending.sender.stop(10.0))["bytes"]
        assert len(sending.delivered) == 41 - lost
        assert {"last", f"{39:01000}"} <= set(sending.delivered)
        assert 28 <= lost <= 36
        (warning,) = [line for line in lines(caplog) if "dropped" in line]
        assert "max_bytes" in warning


async def test_the_time_of_the_service_is_that_of_its_last_answer() -> None:
    async with AsyncSending() as sending:
        assert sending.sender.server_time_ms == 0
        late = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        sending.upstream.date = late
        assert await sending.deliver("a")
        assert sending.sender.server_time_ms == late.timestamp() * 1000
        sending.upstream.date = late - timedelta(days=400)  # a clock may go back
        assert await sending.deliver("b")
        assert sending.sender.server_time_ms == late.timestamp() * 1000 - 400 * 86_400_000
        sending.upstream.date = ""
        assert await sending.deliver("c")
        assert sending.sender.server_time_ms == late.timestamp() * 1000 - 400 * 86_400_000


async def test_an_error_says_the_time_too() -> None:
    async with AsyncSending() as sending:
        sending.upstream.date = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        sending.upstream.respond("/bulk", Scripted(404))
        await sending.deliver("a")
        assert sending.sender.server_time_ms == 1_893_553_445_000


# --- flush --------------------------------------------------------------------------------------


async def test_a_flush_that_cannot_be_in_time_returns_at_once() -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/bulk", Scripted(503))
        begun = runtime.monotonic()
        assert not await sending.deliver("a", timeout=0.8)
        check_within(0.6, since=begun)


async def test_a_flush_of_a_server_that_hangs_ends_in_time_and_loses_nothing() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(202, delay=0.3))
        begun = runtime.monotonic()
        assert not await sending.deliver("a", timeout=0.05)
        check_within(0.25, since=begun)
        assert await sending.deliver("b")
        assert sending.delivered == ["a", "b"]


async def test_a_flush_does_not_wait_for_what_is_recorded_later() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(202, delay=0.05), Scripted(503))
        sending.record("a")
        delivered: list[bool] = []

        async def flush() -> None:
            delivered.append(await sending.sender.flush(10.0))

        task = runtime.spawn("test", flush)
        await sending.upstream.wait_for_request("/bulk")
        sending.record("b")
        sending.sender.flush_soon()
        assert await task.join(10.0)
        assert delivered == [True]


# --- diagnostics --------------------------------------------------------------------------------


async def test_a_diagnostic_event_goes_its_own_way() -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        sending.sender.flush_soon()
        sending.sender.post_diagnostic(b'{"kind":"diagnostic-init"}')
        request = await sending.upstream.wait_for_request("/diagnostic")
        assert request.json() == {"kind": "diagnostic-init"}
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == "sdk-key"
        assert "x-launchdarkly-event-schema" not in request.headers
        assert "x-launchdarkly-payload-id" not in request.headers


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 503])
async def test_a_diagnostic_event_is_sent_twice_at_most_and_disables_nothing(status: int) -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/diagnostic", Scripted(status))
        sending.sender.post_diagnostic(b"{}")
        await sending.upstream.wait_for_request("/diagnostic", 2)
        assert await sending.deliver("a")
        first, second = sending.upstream.requests_to("/diagnostic")
        assert 0.9 < second.time - first.time < 5.0
        assert sending.delivered == ["a"]


# --- the end ------------------------------------------------------------------------------------


async def test_the_end_delivers_what_is_recorded_and_what_waits() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(503))
        assert not await sending.deliver("a", timeout=0.1)
        sending.record("b")
        assert await sending.sender.stop(10.0) == {}
        assert sorted(sending.delivered) == ["a", "b"]
        assert await sending.sender.stop(10.0) == {}
        assert not await sending.sender.flush(1.0)


async def test_the_end_delivers_without_anybody_else_at_work() -> None:
    async with AsyncSending(starts=False) as sending:
        sending.record("a")
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a"]


@pytest.mark.slow
async def test_the_end_waits_for_the_second_try() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(503))
        sending.record("a")
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a"]


async def test_the_end_waits_for_what_is_under_way() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(202, delay=0.1))
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk")
        sending.record("b")
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a", "b"]


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_the_end_is_in_time_when_the_server_hangs_and_says_what_is_lost(
    is_under_way: bool,  # noqa: FBT001  a parameter of a test
) -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/bulk", Scripted(behaviour="hang"))
        sending.record("a", "b")
        if is_under_way:
            sending.sender.flush_soon()
            await sending.upstream.wait_for_request("/bulk")
        sending.record("c")
        begun = runtime.monotonic()
        assert await sending.sender.stop(0.2) == {"undelivered": 3}
        check_within(1.0, since=begun)


async def test_the_end_is_at_once_where_no_try_can_be_in_time() -> None:
    async with AsyncSending() as sending:
        sending.upstream.stop_listening()
        sending.record("a")
        begun = runtime.monotonic()
        assert await sending.sender.stop(0.9) == {"undelivered": 1}
        check_within(0.8, since=begun)


async def test_the_end_wakes_who_waits_for_a_flush() -> None:
    async with AsyncSending() as sending:
        sending.upstream.always("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        answers: list[bool] = []

        async def flush() -> None:
            answers.append(await sending.sender.flush(60.0))

        task = runtime.spawn("test", flush)
        await sending.upstream.wait_for_request("/bulk")
        assert await sending.sender.stop(0.0) == {"undelivered": 1}
        assert await task.join(10.0)
        assert answers == [False]


async def test_nothing_is_sent_after_the_end() -> None:
    async with AsyncSending(flush_interval=0.01) as sending:
        assert await sending.sender.stop(10.0) == {}
        sending.record("a")
        sending.sender.flush_soon()
        sending.sender.post_diagnostic(b"{}")
        await sending.upstream.wait_for_request("/diagnostic")
        assert sending.delivered == []


# --- without anybody in the background ----------------------------------------------------------


class Pumped(AsyncWork):
    """A queue that callers run, as where uWSGI lets no threads run."""

    def start(self) -> None:
        self.is_pumped = True

    async def run(self) -> None:
        await self.run_due(runtime.monotonic() + 10)


class Full(AsyncWork):
    """A queue in a process that can start no thread more."""

    def aside(self, name: str, job: runtime.Job) -> None:  # noqa: ARG002  as the queue has it
        raise RuntimeError("can't start new thread")


async def test_callers_deliver_in_intervals() -> None:
    work = Pumped()
    async with AsyncSending(work=work, flush_interval=0.05) as sending:
        sending.record("a")
        await work.run()
        assert sending.delivered == []  # not due yet
        await until_due(work)
        assert sending.delivered == ["a"]
        sending.record("b")
        await until_due(work)
        assert sending.delivered == ["a", "b"]


async def until_due(work: Pumped) -> None:
    await runtime.Event().wait(0.06)
    await work.run()


async def test_callers_flush_on_their_own_time() -> None:
    async with AsyncSending(work=Pumped()) as sending:
        assert await sending.deliver("a")
        assert sending.delivered == ["a"]
        sending.upstream.respond("/bulk", Scripted(behaviour="hang"))
        begun = runtime.monotonic()
        assert not await sending.deliver("b", timeout=0.1)
        check_within(1.0, since=begun)
        assert await sending.deliver("c")
        assert sorted(sending.delivered) == ["a", "b", "c"]


async def test_callers_wait_no_longer_than_an_evaluation_may_take() -> None:
    work = Pumped()
    async with AsyncSending(work=work, flush_interval=0.05) as sending:
        sending.upstream.always("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        begun = runtime.monotonic()
        await until_due(work)
        check_within(1.0, since=begun)
        sending.upstream.always("/bulk", None)
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a"]


async def test_callers_post_diagnostics_too() -> None:
    work = Pumped()
    async with AsyncSending(work=work) as sending:
        sending.sender.post_diagnostic(b"{}")
        await work.run()
        assert len(sending.upstream.requests_to("/diagnostic")) == 1


async def test_where_no_thread_can_be_started_the_queue_delivers_itself() -> None:
    async with AsyncSending(work=Full()) as sending:
        assert await sending.deliver("a")
        assert sending.delivered == ["a"]


# --- the end of the process ---------------------------------------------------------------------


async def test_the_end_of_the_process_after_the_end_of_the_sender_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncSending() as sending:
        await sending.sender.stop(10.0)
        sending.record("a")
        await sending.sender._finish(1.0)
        sending.sender._complain(1.0)
        assert lines(caplog) == []
        assert sending.delivered == []


async def test_the_end_of_the_process_delivers_or_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncSending() as sending:
        sending.sender._complain(1.0)  # there is nothing to complain of
        sending.record("a")
        await sending.sender._finish(1.0)
        assert sending.delivered == ["a"]
        assert lines(caplog) == []
    async with AsyncSending() as sending:
        sending.upstream.stop_listening()
        sending.record("a", "b")
        await sending.sender._finish(0.1)
        assert "2 events are lost" in lines(caplog)[-1]
    async with AsyncSending() as sending:
        sending.record("a", "b", "c")
        sending.sender._complain(1.0)
        assert "3 events are lost" in lines(caplog)[-1]


# --- another event loop -------------------------------------------------------------------------


async def test_what_was_under_way_is_sent_again_under_its_id_when_its_sender_is_gone() -> None:
    async with AsyncSending(http=HttpSettings(read_timeout=0.2)) as sending:
        sending.upstream.respond("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk")
        sending.sender.forget_parent()
        assert await sending.deliver("b")
        assert sending.delivered == ["a", "b"]
        assert sending.ids[0] == sending.ids[1] != sending.ids[2]
