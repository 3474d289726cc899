"""Token buckets, alone."""

from hypothesis import given
from hypothesis import strategies as st

from agent.throttle import MAX_BUCKETS, Bucket, Rate, Throttle, refilled

MOMENTS = st.lists(st.floats(0, 5), max_size=60)


def test_a_burst_and_then_the_rate() -> None:
    """At first as many as the burst, then as many as the rate, never more saved up than the burst."""
    throttle, rate = Throttle(), Rate(per_second=2, burst=5)
    assert [throttle.take("a", rate, 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [throttle.take("a", rate, 100.5) for _ in range(2)] == [True, False]
    assert [throttle.take("a", rate, 900.0) for _ in range(6)] == [True] * 5 + [False]


def test_buckets_are_apart() -> None:
    """Who has used up one bucket has not touched another."""
    throttle, rate = Throttle(), Rate(per_second=1, burst=1)
    assert [throttle.take(name, rate, 0.0) for name in "aabb"] == [True, False, True, False]


def test_less_than_one_per_second() -> None:
    """A quarter of a request per second is one in four seconds."""
    throttle, rate = Throttle(), Rate(per_second=0.25, burst=1)
    assert [throttle.take("a", rate, moment) for moment in (0.0, 3.9, 4.0, 7.9, 8.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_clock_set_back() -> None:
    """It takes no tokens away, and gives none until the old time is reached by its own pace."""
    rate = Rate(per_second=1, burst=10)
    assert refilled(Bucket(3, 100.0), rate, 50.0) == Bucket(3, 50.0)


@given(pauses=MOMENTS, per_second=st.floats(0.1, 20), burst=st.floats(1, 20))
def test_never_more_than_burst_and_rate(pauses: list[float], per_second: float, burst: float) -> None:
    """In any stretch of time at most the burst and what the rate gives get through."""
    throttle, rate, now = Throttle(), Rate(per_second, burst), 0.0
    passed = []
    for pause in pauses:
        now += pause
        if throttle.take("a", rate, now):
            passed.append(now)
    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + (end - begin) * per_second + 1e-6


def test_the_number_of_buckets_is_bounded() -> None:
    """However many there are asked for, the emptiest are remembered."""
    throttle, rate = Throttle(), Rate(per_second=0.001, burst=2)
    assert [throttle.take("used up", rate, 0.0) for _ in range(3)] == [True, True, False]
    for number in range(3 * MAX_BUCKETS):
        assert throttle.take(number, rate, 0.0)
    assert len(throttle._buckets) <= MAX_BUCKETS
    assert not throttle.take("used up", rate, 0.0)
