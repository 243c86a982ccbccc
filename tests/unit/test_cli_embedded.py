import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.embedded import LlamaServer, find_llama_server, llama_program, valkey_config
from cli.xllama_server import parameters, parser
from fleet.catalogue import Model
from fleet.errors import ConfigError

HELP = """
-m,    --model FNAME
--host HOST   --port PORT
-c,    --ctx-size N                     size of the prompt context
-np,   --parallel N
-ngl,  --gpu-layers, --n-gpu-layers N
-cram, --cache-ram N
-t,    --threads N
--slots, --no-slots
--metrics
--ui,  --webui, --no-ui, --no-webui
"""


def model(**server: object) -> Model:
    recipe = {"weights": "w.gguf", "cache_mib": 64, **server}
    return Model(name="fast", slots=3, context=2048, server=recipe)


def flags(help_text: str, **server: object) -> str:
    found = LlamaServer(("llama-server",), {}, help_text)
    program = llama_program(model(**server), found, Path("/w.gguf"), "127.0.0.1", 8080)
    assert program.address == "http://127.0.0.1:8080"
    return " ".join(program.argv)


def test_the_context_is_given_once_for_all_slots() -> None:
    command = flags(HELP)
    assert "--ctx-size 6144 --parallel 3" in command
    assert "--cache-ram 64" in command
    assert "--threads" not in command
    assert command.endswith("--slots --metrics --no-ui")


def test_more_arguments_of_the_catalogue_come_last() -> None:
    assert flags(HELP, threads=2, args=("--jinja", "-fa", "on")).endswith("--jinja -fa on")


def test_a_flag_that_this_build_does_not_know_is_left_out() -> None:
    old = HELP.replace("--ui,  --webui, --no-ui, --no-webui", "--no-webui").replace("-cram", "")
    command = flags(old.replace("--cache-ram N", ""))
    assert "--cache-ram" not in command
    assert command.endswith("--no-webui")


def test_a_binary_that_is_not_there_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"models\.fast\.server\.binary: '/no/such'"):
        find_llama_server(model(binary="/no/such"))


def test_valkey_is_durable_behind_a_password_and_on_loopback() -> None:
    text = valkey_config(Path("/var/my fleet"), 7000, "secret")
    for line in (
        "bind 127.0.0.1",
        "requirepass secret",
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        'dir "/var/my fleet"',
    ):
        assert line in text.splitlines()


def library_defaults() -> SimpleNamespace:
    parts = {"model": SimpleNamespace(), "cpuparams": SimpleNamespace()}
    return SimpleNamespace(n_batch=2048, n_ubatch=512, **parts)


def test_a_model_that_embeds_takes_a_text_as_long_as_its_context_in_one_batch() -> None:
    recipe = {"weights": "w.gguf", "args": ["--pooling", "mean"]}
    embed = Model(name="embed", task="embedding", slots=2, context=1024, server=recipe)
    found = LlamaServer((), {}, parser().format_help())
    program = llama_program(embed, found, Path("/w.gguf"), "127.0.0.1", 8080)
    assert "--embeddings" in program.argv
    params = parameters(parser().parse_args(list(program.argv)), library_defaults())
    assert (params.n_ctx, params.n_batch, params.n_ubatch) == (2048, 1024, 1024)
    assert (params.embedding, params.pooling_type) == (True, 1)


def test_the_python_server_takes_the_flags_that_we_write() -> None:
    found = LlamaServer((), {}, parser().format_help())
    program = llama_program(
        model(threads=2, gpu_layers="all"), found, Path("/w.gguf"), "127.0.0.1", 8080
    )
    params = library_defaults()
    args: argparse.Namespace = parser().parse_args(list(program.argv))
    parameters(args, params)
    assert params.model.path == "/w.gguf"
    assert (params.n_ctx, params.n_parallel, params.n_gpu_layers) == (6144, 3, -2)
    assert params.cpuparams.n_threads == 2
    assert params.endpoint_slots
    assert params.endpoint_metrics
    assert not params.ui
    assert (params.n_batch, params.n_ubatch, params.embedding) == (2048, 512, False)
