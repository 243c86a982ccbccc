"""A short run of everything: no job lost, no token twice, any reader can come back."""

from pathlib import Path

import pytest

from tests.chaos.faults import NAMES
from tests.chaos.fleet import Fleet
from tests.chaos.report import text
from tests.chaos.run import Plan, run

#: What takes too long for a short run.
LEFT_OUT = {"rolling_restart"}
PLAN = Plan(
    seed=7, seconds=20, rate=8, gap_s=0.3, faults=tuple(n for n in NAMES if n not in LEFT_OUT)
)


@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_faults_cost_no_job_no_token_and_no_reader(tmp_path: Path) -> None:
    outcome = await run(Fleet(tmp_path, PLAN.mix.deadline_s), PLAN, print)
    assert len(outcome.history.jobs) == PLAN.seconds * PLAN.rate
    assert len(outcome.history.faults) > 8
    assert not outcome.wrong, text(outcome)
