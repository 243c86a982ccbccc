"""A llama-server out of the package `xllamacpp`, as a process of its own.

    python -m cli.xllama_server --model FILE --port N …

For machines that the package with the real program has no build for. It takes
the flags that `cli.embedded` writes, by the same names.
"""

import argparse
import os
import signal
from typing import Any

_GPU_LAYERS = {"auto": -1, "all": -2}
_POOLING = {"none": 0, "mean": 1, "cls": 2, "last": 3}


def parser() -> argparse.ArgumentParser:
    """The flags it knows."""
    flags = argparse.ArgumentParser(prog="xllama_server", description="llama-server in Python")
    flags.add_argument("--model", required=True)
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8080)
    flags.add_argument("--ctx-size", type=int, default=0)
    flags.add_argument("--parallel", type=int, default=1)
    flags.add_argument("--n-gpu-layers", type=gpu_layers, default=-1)
    flags.add_argument("--cache-ram", type=int, default=512)
    flags.add_argument("--threads", type=int, default=-1)
    flags.add_argument("--chat-template-file", default="")
    flags.add_argument("--batch-size", type=int, default=0)
    flags.add_argument("--ubatch-size", type=int, default=0)
    flags.add_argument("--pooling", choices=_POOLING)
    for switch in ("--slots", "--metrics", "--no-ui", "--embeddings"):
        flags.add_argument(switch, action="store_true")
    return flags


def gpu_layers(text: str) -> int:
    """`auto`, `all` or a number, as the library counts them."""
    return _GPU_LAYERS[text] if text in _GPU_LAYERS else int(text)


def parameters(args: argparse.Namespace, params: Any) -> Any:
    """Lay the flags over the library's defaults."""
    params.model.path = args.model
    params.hostnames = [args.host]
    params.port = args.port
    params.n_ctx = args.ctx_size
    params.n_parallel = args.parallel
    params.n_gpu_layers = args.n_gpu_layers
    params.cache_ram_mib = args.cache_ram
    params.cpuparams.n_threads = args.threads
    params.endpoint_slots = args.slots
    params.endpoint_metrics = args.metrics
    params.ui = not args.no_ui
    params.embedding = args.embeddings
    params.n_batch = args.batch_size or params.n_batch
    params.n_ubatch = args.ubatch_size or params.n_ubatch
    if args.pooling:
        params.pooling_type = _POOLING[args.pooling]
    if args.chat_template_file:
        with open(args.chat_template_file, encoding="utf-8") as file:
            params.chat_template = file.read()
    return params


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    args = parser().parse_args()
    import xllamacpp

    ends = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server starts its threads, so that only `sigwait` hears them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = xllamacpp.Server(parameters(args, xllamacpp.CommonParams()))
    signal.sigwait(ends)
    # Its own end would wait for streams that nobody reads any more.
    os._exit(0 if server else 1)


if __name__ == "__main__":
    main()
