"""A leak is found, and what only moves is not taken for one."""

from random import Random

import pytest

from tests.chaos.trend import Tolerance, trend

TOLERANCE = Tolerance(share=0.05, more=2)


def test_a_slow_leak_is_found() -> None:
    rng = Random(1)
    found = trend("MB", [80 + i * 0.1 + rng.uniform(-3, 3) for i in range(200)], TOLERANCE)
    assert found.grown
    assert found.first == pytest.approx(82, abs=1)
    assert found.last == pytest.approx(98, abs=1)


def test_noise_and_peaks_are_no_leak() -> None:
    rng = Random(2)
    series = [80 + rng.uniform(-3, 3) + (200 if i % 17 == 0 else 0) for i in range(200)]
    assert not trend("MB", series, TOLERANCE).grown


def test_a_few_measurements_are_enough() -> None:
    assert trend("keys", [1, 9], TOLERANCE).grown
    assert not trend("keys", [5], TOLERANCE).grown
