import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.backoff import Backoff
from cli.failures import StartFailed
from cli.plan import ProcessSpec, Role
from cli.runstate import ProcessMark, process_started
from cli.screen import Announcer
from cli.supervisor import Supervisor
from tests.support import free_port, start_process, stop_process, until, wait_until

SLEEPER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"
    "while 1: signal.pause()"
)
DYING = "print('INFO alive'); print('ERROR my last words'); raise SystemExit(3)"
#: Leaves a process of its own behind, and writes down which.
PARENT = (
    "import pathlib, subprocess, sys, signal;"
    "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
    "pathlib.Path(sys.argv[1]).write_text(str(p.pid));"
    "print('up', flush=True); signal.pause()"
)


class Screen(Announcer):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.lines: list[str] = []

    def say(self, text: str, style: str = "") -> None:
        self.said.append(text)

    def child_line(self, name: str, line: str) -> None:
        self.lines.append(f"{name} | {line}")


def spec(name: str, code: str, role: Role = "worker", *argv: str, **more: Any) -> ProcessSpec:
    return ProcessSpec(name, role, (sys.executable, "-c", code, *argv), dict(os.environ), **more)


async def at_once(specs: Sequence[ProcessSpec]) -> dict[str, str]:
    return {}


def alive(pid: int | None) -> bool:
    return pid is not None and process_started(pid) != ""


def log(folder: Path, name: str) -> str:
    path = folder / f"{name}.log"
    return path.read_text() if path.is_file() else ""


def is_up(folder: Path, name: str) -> bool:
    return "up" in log(folder, name)


async def up(supervisor: Supervisor, folder: Path, *specs: ProcessSpec) -> dict[str, int]:
    """Start and wait until each has said that it is up."""
    await supervisor.start(specs, at_once)
    pids: dict[str, int] = {}
    for each in specs:
        await until(partial(is_up, folder, each.name), f"{each.name} runs")
        pid = supervisor.children[each.name].pid
        assert pid is not None
        pids[each.name] = pid
    return pids


async def test_a_process_that_dies_is_started_again_after_a_pause(tmp_path: Path) -> None:
    screen = Screen()
    supervisor = Supervisor(tmp_path, screen)
    first = await up(supervisor, tmp_path, spec("fast", SLEEPER))
    os.kill(first["fast"], signal.SIGKILL)
    await until(
        lambda: supervisor.children["fast"].pid not in (None, first["fast"]), "another one runs"
    )
    assert screen.said == ["worker fast was ended by signal 9; starting it again in 0.5 s"]
    await supervisor.stop()
    assert not alive(supervisor.children["fast"].pid)


async def test_a_process_that_keeps_dying_at_start_is_given_up_with_its_last_words(
    tmp_path: Path,
) -> None:
    async def never(specs: Sequence[ProcessSpec]) -> dict[str, str]:
        return {each.name: "it does not answer" for each in specs}

    screen = Screen()
    supervisor = Supervisor(tmp_path, screen, backoff=lambda: Backoff(first_s=0.01))
    with pytest.raises(StartFailed, match=r"(?s)it ended 3 times.*ERROR my last words"):
        await supervisor.start([spec("fast", DYING)], never)
    await supervisor.stop()
    assert [text.rpartition(" in ")[2] for text in screen.said[:3]] == [
        "0.01 s",
        "0.02 s",
        "0.04 s",
    ]
    assert "fast | ERROR my last words" in screen.lines


async def test_only_what_a_newcomer_should_see_is_shown_and_all_of_it_is_kept(
    tmp_path: Path,
) -> None:
    talk = f"print('INFO small talk'); print('WARNING a word'); {SLEEPER}"
    screen = Screen()
    supervisor = Supervisor(tmp_path, screen)
    await up(supervisor, tmp_path, spec("fast", talk), spec("llama", talk, speaks_levels=False))
    await supervisor.stop()
    assert screen.lines == ["fast | WARNING a word", "fast | up"]
    assert log(tmp_path, "llama") == "INFO small talk\nWARNING a word\nup\n"


async def test_each_wave_waits_until_the_one_before_is_ready(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    async def second_time(specs: Sequence[ProcessSpec]) -> dict[str, str]:
        asked.append([each.name for each in specs])
        return {} if asked.count(asked[-1]) > 1 else {each.name: "not yet" for each in specs}

    supervisor = Supervisor(tmp_path, Screen())
    specs = [
        spec("valkey", SLEEPER, "valkey"),
        spec("llama", SLEEPER, "llama-server"),
        spec("fast", SLEEPER),
    ]
    await supervisor.start(specs, second_time)
    await supervisor.stop()
    names = [names for names in asked if names]
    assert names == [["valkey"]] * 2 + [["llama"]] * 2 + [["fast"]] * 2


async def test_the_drain_ends_users_before_what_they_use(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    code = (
        "import pathlib, signal, sys\n"
        "def end(number, frame):\n"
        "    with open(sys.argv[1], 'a') as f: f.write(f'{sys.argv[2]} {number}\\n')\n"
        "    sys.exit(0)\n"
        "signal.signal(15, end)\n"
        "print('up', flush=True)\n"
        "while 1: signal.pause()\n"
    )
    roles: list[Role] = ["valkey", "llama-server", "router", "worker", "api"]
    specs = [spec(role, code, role, str(ends), role) for role in roles]
    supervisor = Supervisor(tmp_path, Screen())
    await up(supervisor, tmp_path, *specs)
    await supervisor.stop()
    # Readers see the answers that come to their end while the workers drain.
    assert ends.read_text().splitlines() == [
        "worker 15",
        "api 15",
        "router 15",
        "llama-server 15",
        "valkey 15",
    ]


async def test_a_process_that_does_not_listen_is_ended_after_its_grace(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, Screen())
    pids = await up(supervisor, tmp_path, spec("fast", STUBBORN, grace_s=0.2))
    await supervisor.stop()
    assert not alive(pids["fast"])


async def test_what_a_process_started_itself_does_not_outlive_it(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, Screen())
    note = tmp_path / "grandchild"
    await up(supervisor, tmp_path, spec("fast", PARENT, "worker", str(note)))
    await supervisor.stop()
    await until(lambda: not alive(int(note.read_text())), "the grandchild has ended")


async def test_killing_ends_everything_at_once(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, Screen())
    pids = await up(supervisor, tmp_path, spec("fast", STUBBORN, grace_s=60))
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)  # it has asked, and waits
    supervisor.kill()
    await asyncio.wait_for(stopping, 10)
    assert not alive(pids["fast"])


async def test_every_start_is_told_with_the_marks_of_what_runs(tmp_path: Path) -> None:
    told: list[tuple[ProcessMark, ...]] = []
    supervisor = Supervisor(tmp_path, Screen(), on_change=told.append)
    pids = await up(supervisor, tmp_path, spec("fast", SLEEPER), spec("tool", SLEEPER))
    await supervisor.stop()
    assert {mark.name: mark.pid for mark in told[-1]} == pids


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async def never(specs: Sequence[ProcessSpec]) -> dict[str, str]:
        return {each.name: "" for each in specs}

    supervisor = Supervisor(tmp_path, Screen(), backoff=lambda: Backoff(first_s=0.01))
    nothing = ProcessSpec("fast", "worker", ("/no/such/program",), dict(os.environ))
    with pytest.raises(StartFailed, match="/no/such/program: No such file"):
        await supervisor.start([nothing], never)
    await supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start cleans up")
def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, os, sys
from pathlib import Path
from cli.plan import ProcessSpec
from cli.screen import Announcer
from cli.supervisor import Supervisor

async def ready(specs):
    return {{}}

async def main():
    supervisor = Supervisor(Path(sys.argv[1]), Announcer())
    argv = (sys.executable, "-c", {STUBBORN!r})
    names = ["one", "two"]
    await supervisor.start([ProcessSpec(n, "worker", argv, dict(os.environ)) for n in names], ready)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    supervisor = start_process([sys.executable, "-c", program, tmp_path], tmp_path / "said")
    try:
        for name in ("one", "two"):
            wait_until(partial(is_up, tmp_path, name), f"{name} runs")
        children = _children(supervisor.pid)
        assert len(children) == 2
        supervisor.kill()
        supervisor.wait(10)
        wait_until(lambda: not any(map(alive, children)), "both have ended with their parent")
    finally:
        stop_process(supervisor)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_fleets_on_one_home_are_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    hold = (
        "import sys, signal; from pathlib import Path; from cli.runstate import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held', flush=True); signal.pause()"
    )
    said = tmp_path / "said"
    first = start_process([sys.executable, "-c", hold, tmp_path], said)
    try:
        wait_until(lambda: "held" in said.read_text(), "the first one holds the lock")
        command = [sys.executable, "-m", "cli.main", "up", "--preset", "demo"]
        env = {"FLEET_HOME": str(tmp_path), "FLEET_API__PORT": str(free_port())}
        second_said = tmp_path / "second"
        second = start_process(command, second_said, env=env)
        assert second.wait(30) == 1
        assert f"(pid {first.pid})" in second_said.read_text()
    finally:
        stop_process(first)
