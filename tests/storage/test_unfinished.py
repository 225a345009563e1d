"""Half of a full set is not used while something whole is there, and nobody waits for the dead."""

from flagkeep.storage.availability import HEARTBEAT, RETRY_AFTER
from flagkeep.storage.contents import WriterRecord, half_done
from flagkeep.storage.unfinished import STANDSTILL, Abandoned, Unfinished

HALF = WriterRecord(writer="w", replaces=1, replacing=True)
OTHER = WriterRecord(writer="v", replaces=1, replacing=True)
DONE = WriterRecord(writer="w", replaces=2)


def test_what_is_whole_is_taken_at_once() -> None:
    unfinished = Unfinished(0.25)
    assert unfinished.takes(None, 1.0, has_other=True)
    assert unfinished.takes(None, 1.0, has_other=False)


def test_a_half_is_waited_for_as_long_as_its_writer_may_be_alive() -> None:
    unfinished = Unfinished(0.25)
    assert not unfinished.takes(HALF, 10.0, has_other=True)
    assert not unfinished.takes(HALF, 10.0 + STANDSTILL - 1, has_other=True)
    assert not unfinished.takes(OTHER, 10.0 + STANDSTILL, has_other=True)  # somebody else took over
    assert not unfinished.takes(OTHER, 10.0 + 2 * STANDSTILL - 1, has_other=True)
    assert unfinished.takes(OTHER, 10.0 + 2 * STANDSTILL, has_other=True)


def test_single_changes_of_others_keep_no_dead_writer_alive() -> None:
    unfinished = Unfinished(0.25)
    for second in range(int(STANDSTILL)):
        changed = WriterRecord(writer="w", replaces=1, replacing=True, last_change=float(second))
        assert not unfinished.takes(changed, float(second), has_other=True)
    assert unfinished.takes(HALF, STANDSTILL, has_other=True)
    assert not unfinished.is_worth_a_look(changed, STANDSTILL + 1, has_other=True)


def test_who_is_slow_is_not_taken_for_dead() -> None:
    unfinished, abandoned = Unfinished(0.25), Abandoned(0.0)
    record = HALF
    for minutes in range(5):
        begin = 10.0 + minutes * 0.9 * STANDSTILL
        assert not unfinished.takes(record, begin, has_other=True)
        assert not unfinished.is_worth_a_look(record, begin + 0.8 * STANDSTILL, has_other=True)
        assert not abandoned.is_due(record, begin)
        assert not abandoned.is_due(record, begin + 0.8 * STANDSTILL)
        record = record.amid_replace()
    assert unfinished.takes(record, 1000.0, has_other=True) is False
    assert unfinished.takes(record, 1000.0 + STANDSTILL, has_other=True)
    # A part of it is served now: more is better, however alive its writer may be.
    assert unfinished.takes(record.amid_replace(), 1000.0 + STANDSTILL + 1, has_other=True)
    assert not abandoned.is_due(record, 1000.0)
    assert abandoned.is_due(record, 1000.0 + STANDSTILL)


def test_without_anything_else_a_half_is_better_than_nothing_soon() -> None:
    unfinished = Unfinished(0.25)
    assert not unfinished.takes(HALF, 10.0, has_other=False)
    assert unfinished.takes(HALF, 10.25, has_other=False)
    assert not unfinished.takes(OTHER, 10.5, has_other=True)  # now there is


def test_of_the_set_that_is_served_in_part_more_is_taken_at_once() -> None:
    unfinished = Unfinished(0.25)
    unfinished.takes(HALF, 10.0, has_other=False)
    assert unfinished.takes(HALF, 10.5, has_other=False)
    later = WriterRecord(writer="w", replaces=1, replacing=True, last_change=7.0)
    assert unfinished.takes(later, 11.0, has_other=True)
    assert not unfinished.takes(OTHER, 12.0, has_other=True)
    assert unfinished.takes(None, 13.0, has_other=True)
    assert not unfinished.takes(HALF, 14.0, has_other=True)  # what is served is whole again


def test_without_anything_else_nobody_waits_longer_because_writers_take_turns() -> None:
    unfinished = Unfinished(0.25)
    for replaces in range(5):
        one = WriterRecord(writer="w", replaces=replaces)
        assert not unfinished.takes(one, 10.0 + replaces / 20, has_other=False)
    assert unfinished.takes(WriterRecord(writer="w", replaces=6), 10.25, has_other=False)
    assert not Unfinished(0.25).takes(HALF, 10.25, has_other=False)


def test_whoever_would_get_nothing_gets_a_half_at_once() -> None:
    unfinished = Unfinished(0.25)
    assert not unfinished.takes(HALF, 10.0, has_other=False)
    assert unfinished.takes(HALF, 10.1, has_other=False, is_urgent=True)
    assert unfinished.takes(HALF, 10.2, has_other=True)
    assert not unfinished.is_worth_a_look(HALF, 10.2, has_other=True)


def test_a_wait_of_the_past_does_not_count() -> None:
    unfinished = Unfinished(0.25)
    assert not unfinished.takes(HALF, 10.0, has_other=False)
    assert unfinished.takes(None, 10.1, has_other=False)
    assert not unfinished.takes(OTHER, 11.0, has_other=False)


def test_who_can_write_does_so_once_when_another_has_stopped_in_the_midst() -> None:
    abandoned = Abandoned(0.5)
    assert not abandoned.is_due(None, 0.0)
    assert not abandoned.is_due(DONE, 1000.0)
    assert not abandoned.is_due(HALF, 1000.0)
    assert not abandoned.is_due(OTHER, 1000.0 + 1.4 * STANDSTILL)  # somebody else took over
    assert not abandoned.is_due(OTHER, 1000.0 + 2.8 * STANDSTILL)
    assert abandoned.is_due(OTHER, 1000.0 + 2.9 * STANDSTILL)
    assert not abandoned.is_due(OTHER, 1000.0 + 9 * STANDSTILL)  # whoever may not sign
    assert not abandoned.is_due(DONE, 1000.0 + 10 * STANDSTILL)
    assert not abandoned.is_due(HALF, 1000.0 + 11 * STANDSTILL)
    assert abandoned.is_due(HALF, 1000.0 + 12.5 * STANDSTILL)


def test_a_look_at_everything_is_worth_it_when_the_replace_is_over() -> None:
    unfinished = Unfinished(0.25)
    assert not unfinished.takes(HALF, 10.0, has_other=True)
    assert not unfinished.is_worth_a_look(HALF, 11.0, has_other=True)
    assert unfinished.is_worth_a_look(DONE, 11.0, has_other=True)
    assert unfinished.is_worth_a_look(None, 11.0, has_other=True)


def test_a_half_that_was_taken_is_not_read_again_and_again() -> None:
    unfinished = Unfinished(0.25)
    unfinished.takes(HALF, 10.0, has_other=False)
    assert unfinished.is_worth_a_look(HALF, 10.5, has_other=False)
    assert unfinished.takes(HALF, 10.5, has_other=False)
    assert not unfinished.is_worth_a_look(HALF, 11.0, has_other=True)
    assert not unfinished.is_worth_a_look(HALF, 11.0 + 2 * STANDSTILL, has_other=True)
    assert unfinished.retry_after(11.0) == RETRY_AFTER
    assert unfinished.retry_after(10.0 + STANDSTILL) == HEARTBEAT


def test_two_looks_at_the_record_tell_what_went_on_between_them() -> None:
    before = WriterRecord(writer="w", replaces=1)
    changed = WriterRecord(writer="w", replaces=1, last_change=7.0)
    assert half_done(None, None) is None
    assert half_done(before, before) is None
    assert half_done(before, changed) is None  # single items only
    assert half_done(before, HALF) is HALF
    assert half_done(HALF, HALF) is HALF
    assert half_done(HALF, DONE) is DONE
    assert half_done(before, DONE) is DONE
    assert half_done(None, before) is before  # the first one ever
    assert half_done(before, None) is before  # somebody forgot it, or everything
    assert half_done(HALF, before) is HALF
