"""Long work in slices: when a slice is over, and what a job asks others to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from unittest.mock import patch

import pytest

from kmsfs.errors import KeyUnavailableError, WaitNeededError
from kmsfs.jobs import Call, Job, Pace, Progress, called, here, patiently


def test_the_turn_of_others_is_not_the_jobs() -> None:
    """A slice lasts from when a job goes on, however long the others had their turn."""
    with patch("time.monotonic") as clock:
        pace = Pace()
        answers = []
        for now in (100.0, 100.003, 100.005, 160.0, 160.003, 160.005, 160.006):
            clock.return_value = now
            answers.append(pace.is_over())
    assert answers == [False, False, True, False, False, True, False]


def test_a_job_alone() -> None:
    """Without others, calls are made in place, turns are not waited for, and what is told comes out."""
    places: list[int] = []

    def job() -> Job:
        yield None
        place = yield from called(threading.get_ident)
        places.append(place)
        yield {"half": True}
        return {"all": True}

    results: list[Mapping[str, object]] = []

    def to_its_end() -> Iterator[Progress]:
        results.append((yield from here(job())))

    assert list(to_its_end()) == [{"half": True}]
    assert (results, places) == ([{"all": True}], [threading.get_ident()])


def test_an_error_of_a_call_is_raised_in_the_job() -> None:
    """A call raises nothing where it is made: the job gets it."""

    def refuse() -> None:
        raise KeyUnavailableError("why")

    doing = called(refuse)
    next(doing).work()
    with pytest.raises(KeyUnavailableError, match="why"):
        next(doing)


def test_what_has_to_wait_is_done_again() -> None:
    """A call of the core is made again after each answer that it needs, until it needs none."""
    answers: list[int] = []

    def ask() -> list[int]:
        if len(answers) < 2:
            raise WaitNeededError(lambda: answers.append(1))
        return answers

    doing = patiently(ask)
    for step in doing:
        assert isinstance(step, Call)
        step.work()
    assert answers == [1, 1]
