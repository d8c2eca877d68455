"""Verdicts on simulated studies without a difference, in small; benchmarks/simulate_statistics.py has large ones."""

import pytest

from helpers.simulated_studies import Setting, false_alarm, study

STUDIES = 16


@pytest.mark.slow
def test_studies_without_a_difference_hardly_ever_find_one():
    """At most 2 of 16: a family-wise error of 0.05 makes 0.8 on average. Tests of the test images alone made 5."""
    setting = Setting(replicates=5, images=300, spread=3.0, sizes=(100, 500), used=(0.0, 0.0), draws=150)
    alarms = [false_alarm(study(setting, seed).comparisons()) for seed in range(STUDIES)]
    assert sum(alarms) <= 2
