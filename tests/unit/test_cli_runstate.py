import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import runstate
from cli.failures import AlreadyRunning
from cli.runstate import ProcessMark, RunState
from tests.support import wait_until

ME = runstate.mark("fleet", os.getpid())


def state(process: ProcessMark, *children: ProcessMark) -> RunState:
    return RunState(
        process=process,
        api_url="http://127.0.0.1:8123",
        api_key="k",
        environment={"FLEET_REDIS_URL": "redis://x", "FLEET_API__PORT": "8123"},
        children=children,
    )


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True
    )


def test_a_running_fleet_is_found_and_only_its_owner_can_read_where(tmp_path: Path) -> None:
    runstate.write(tmp_path, state(ME))
    assert runstate.running(tmp_path) == state(ME)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    runstate.remove(tmp_path)
    assert runstate.running(tmp_path) is None


def test_a_process_that_reuses_the_number_is_not_taken_for_the_fleet(tmp_path: Path) -> None:
    runstate.write(tmp_path, state(ProcessMark("fleet", os.getpid(), "long ago")))
    assert runstate.running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 3}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert runstate.read(tmp_path) is None
    assert runstate.end_leftovers(tmp_path) == []


def test_leftovers_of_a_killed_fleet_are_ended_and_nobody_else(tmp_path: Path) -> None:
    left, stranger = sleeper(), sleeper()
    try:
        gone = ProcessMark("fleet", 2**22 - 1, "long ago")
        children = (
            runstate.mark("fast", left.pid),
            ProcessMark("tool", stranger.pid, "another time"),
        )
        runstate.write(tmp_path, state(gone, *children))
        assert runstate.end_leftovers(tmp_path) == ["fast"]
        assert left.wait(10) == -9
        assert stranger.poll() is None
        assert runstate.read(tmp_path) is None
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


def test_a_living_fleet_has_no_leftovers(tmp_path: Path) -> None:
    child = sleeper()
    try:
        runstate.write(tmp_path, state(ME, runstate.mark("fast", child.pid)))
        assert runstate.end_leftovers(tmp_path) == []
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_process_that_ended_has_no_start(tmp_path: Path) -> None:
    child = sleeper()
    mark = runstate.mark("fast", child.pid)
    assert mark.alive()
    child.kill()
    wait_until(lambda: not mark.alive(), "the process counts as dead before it is reaped")
    child.wait()


def test_one_home_holds_one_fleet(tmp_path: Path) -> None:
    refused = pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}")
    with runstate.only_one(tmp_path), refused, runstate.only_one(tmp_path):
        pass
    with runstate.only_one(tmp_path):
        pass


def test_a_role_started_by_hand_joins_the_fleet_that_runs_here(tmp_path: Path) -> None:
    runstate.write(tmp_path, state(ME))
    environ = {"FLEET_API__PORT": "9000"}
    assert runstate.join_running(tmp_path, environ)
    assert environ == {"FLEET_API__PORT": "9000", "FLEET_REDIS_URL": "redis://x"}


def test_a_role_that_was_told_its_redis_joins_nobody(tmp_path: Path) -> None:
    runstate.write(tmp_path, state(ME))
    environ = {"FLEET_REDIS_URL": "redis://mine"}
    assert runstate.join_running(tmp_path, environ) is None
    assert environ == {"FLEET_REDIS_URL": "redis://mine"}
