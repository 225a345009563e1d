"""Which contexts were described already (events spec, section 5)."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.seen import SeenContexts

CAPACITY = 4


def seen_with(*keys: str, capacity: int = CAPACITY) -> SeenContexts:
    seen = SeenContexts(capacity, 300)
    for key in keys:
        assert seen.is_new(key, 0)
    return seen


def test_a_key_is_new_once() -> None:
    seen = SeenContexts(10, 300)
    assert [seen.is_new(key, 0) for key in ("a", "b", "a", "b", "c")] == [
        *(True, True, False, False, True)
    ]


def test_what_was_not_used_since_makes_room() -> None:
    seen = seen_with("a", "b", "c", "d")
    assert not seen.is_new("a", 0)
    assert seen.is_new("e", 0)
    assert set(seen.keys) == {"a", "c", "d", "e"}
    assert seen.is_new("b", 0)
    assert not seen.is_new("a", 0)


def test_a_mark_from_outside_counts_as_use() -> None:
    seen = seen_with("a", "b", "c", "d")
    seen.keys["a"] = seen.keys["b"] = True
    assert seen.is_new("e", 0)
    assert set(seen.keys) == {"a", "b", "d", "e"}


def test_where_all_were_used_the_oldest_makes_room() -> None:
    seen = seen_with("a", "b", "c", "d")
    for key in "abcd":
        seen.is_new(key, 0)
    assert seen.is_new("e", 0)
    assert set(seen.keys) == {"b", "c", "d", "e"}
    assert not any(seen.keys.values())


def test_a_capacity_of_one_remembers_the_last() -> None:
    seen = seen_with("a", "b", capacity=1)
    assert not seen.is_new("b", 0)
    assert seen.is_new("a", 0)
    assert list(seen.keys) == ["a"]


def test_everything_is_forgotten_after_the_interval() -> None:
    seen = SeenContexts(10, 300)
    assert seen.is_new("a", 1000)
    assert not seen.is_new("a", 1299.9)
    assert seen.is_new("a", 1300)
    assert not seen.is_new("a", 1599.9)
    seen.forget_all_if_due(1600)
    assert seen.keys == {}
    assert seen.is_new("a", 1600)


def test_a_look_that_comes_late_does_not_put_off_the_next_one() -> None:
    seen = SeenContexts(10, 300)
    seen.forget_all_if_due(1000)
    for moment in (1300.5, 1600.1, 1900.9):
        assert seen.is_new("a", moment - 1)
        assert "a" in seen.keys
        seen.forget_all_if_due(moment)
        assert seen.keys == {}


def test_after_a_long_sleep_everything_is_forgotten_once() -> None:
    seen = SeenContexts(10, 300)
    assert seen.is_new("a", 1000)
    assert seen.is_new("a", 90_000)
    assert not seen.is_new("a", 90_299)
    assert seen.is_new("a", 90_300)


def test_the_keys_stay_one_object_so_that_others_may_hold_it() -> None:
    seen = SeenContexts(2, 300)
    keys = seen.keys
    for number in range(10):
        seen.is_new(str(number), number * 100)
    assert seen.keys is keys


def test_a_mark_that_comes_as_the_key_is_forgotten_takes_no_room_for_good() -> None:
    seen = seen_with("a", "b", "c", "d")
    assert seen.is_new("e", 0)
    assert "a" not in seen.keys
    seen.keys["a"] = True  # by a thread that had just seen it there
    assert seen.is_new("f", 0)
    assert len(seen.keys) == CAPACITY
    for number in range(10):
        assert seen.is_new(str(number), 0)
        assert len(seen.keys) == CAPACITY


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_never_more_than_fit_and_never_new_twice_while_known(steps: list[tuple[str, bool]]) -> None:
    seen = SeenContexts(CAPACITY, 300)
    for key, is_marked in steps:
        known = key in seen.keys
        if is_marked and known:
            seen.keys[key] = True
        else:
            assert seen.is_new(key, 0) is not known
        assert key in seen.keys
        assert len(seen.keys) <= CAPACITY


def test_marks_of_other_threads_break_nothing() -> None:
    seen = SeenContexts(50, 300)
    names = [str(number) for number in range(200)]

    def mark() -> None:
        for _ in range(200):
            for name in names:
                if name in seen.keys:
                    seen.keys[name] = True

    with ThreadPoolExecutor(3) as pool:
        marking = [pool.submit(mark) for _ in range(3)]
        while not all(one.done() for one in marking):
            for name in names:
                seen.is_new(name, 0)
        for one in marking:
            one.result()
    seen.is_new("last", 0)
    assert len(seen.keys) <= 50
