"""What every server that speaks OpenAI's API must do for the client: one suite, for the stub and for a real server.

A stub that passes other tests than a server that others wrote would be a lie about them.
"""

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_gen.answer import LENGTH, STOP, read_answer
from data_gen.client import Client, Reply
from data_gen.failure import Failure, Kind
from data_gen.prices import at_most_tokens
from data_gen.request import Request
from tests.openai_server import Script, StubServer

PATIENCE = 90  # seconds until a real server is up


@dataclass(frozen=True)
class Server:
    """Where it is, what its model is called, and in what it differs."""

    url: str
    model: str
    no_model: Kind = Kind.FATAL
    tells_cuts: tuple[str, ...] = ("chat", "responses")


@pytest.fixture(scope="module", params=["stub", pytest.param("transformers", marks=pytest.mark.peers)])
def server(request, tmp_path_factory) -> Iterator[Server]:
    if request.param == "stub":
        with StubServer(Script(latency=0.05)) as stub:
            yield Server(stub.url, "stub")
        return
    for package in "torch", "transformers", "fastapi", "uvicorn":
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package}: pip install torch 'transformers[serving]'")
    yield from transformers_serve(tmp_path_factory.mktemp("tiny-model"))


def transformers_serve(folder: Path) -> Iterator[Server]:
    """`transformers serve` with a random Llama of 15 thousand parameters. It answers gibberish, by the rules."""
    write_model(folder)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(folder),
               "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    log = folder / "serve.log"
    with log.open("wb") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        try:
            until = time.monotonic() + PATIENCE
            while not healthy(f"http://127.0.0.1:{port}/health"):
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"transformers serve did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            # Of 5.23: pinned to its model, it answers 400 and not 404 for another name; a response that was cut at
            # max_output_tokens is "completed", without incomplete_details.
            yield Server(f"http://127.0.0.1:{port}/v1", str(folder), Kind.PERMANENT, ("chat",))
        finally:
            process.terminate()


def healthy(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def write_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=2, max_position_embeddings=4096, pad_token_id=0, bos_token_id=1,
                         eos_token_id=2)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def ask(server: Server, text: str = "Tell a story.", model: str | None = None, **params) -> Request:
    messages = ({"role": "system", "content": "You tell stories."}, {"role": "user", "content": text})
    return Request("r", 0, 0, 0, model or server.model, messages, {"max_output_tokens": 12} | params)


def calls(server: Server, *requests: Request, url: str = "", **more) -> list[Reply | Failure]:
    """All at once."""

    async def main() -> list[Reply | Failure]:
        async with Client(url or server.url, "CONTRACT_KEY", **({"timeout": 60} | more)) as client:
            return await asyncio.gather(*map(client.call, requests), return_exceptions=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRACT_KEY", "sk-contract-0123456789")
        return asyncio.run(main())


ENDPOINTS = pytest.mark.parametrize("endpoint", ["chat", "responses"])


@ENDPOINTS
def test_an_answer_with_usage(server, endpoint):
    request = ask(server)
    [reply] = calls(server, request, endpoint=endpoint)
    answer = read_answer(reply.body)
    assert reply.status == 200 and answer.text and answer.finish in (STOP, LENGTH)
    assert server.model in answer.model  # a real server may add a revision
    assert 0 < answer.usage.output <= 12 and 0 < answer.usage.input <= at_most_tokens(request.messages)
    assert reply.headers["x-request-id"]
    assert json.loads(json.dumps(reply.body)) == reply.body


@ENDPOINTS
def test_an_answer_that_is_cut_says_so(server, endpoint):
    [reply] = calls(server, ask(server, max_output_tokens=4), endpoint=endpoint)
    answer = read_answer(reply.body)
    assert answer.usage.output == 4  # so that a cut can be known where nothing else tells it
    assert answer.finish == (LENGTH if endpoint in server.tells_cuts else STOP)


@ENDPOINTS
def test_the_input_counts_what_was_asked(server, endpoint):
    short, long, again = calls(
        server, ask(server, "Hi."), ask(server, "Hi. " * 50), ask(server, "Hi."), endpoint=endpoint
    )
    counts = [read_answer(reply.body).usage.input for reply in (short, long, again)]
    assert counts[0] == counts[2] < counts[1] - 40


def test_any_text_arrives(server):
    text = 'Grüße, "quotes" \\ \n\t 你好 \U0001f600 \u2028'
    [reply] = calls(server, ask(server, text))
    assert read_answer(reply.body).usage.input <= at_most_tokens(ask(server, text).messages)


def test_sampling_parameters_and_schemas_are_taken(server):
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    replies = calls(server, ask(server, temperature=0.7, top_p=0.9), ask(server, schema=schema))
    assert all(isinstance(reply, Reply) for reply in replies), replies


def test_many_at_once(server):
    replies = calls(server, *(ask(server, f"Story {i}.") for i in range(8)))
    assert all(isinstance(reply, Reply) for reply in replies), replies
    assert (
        len({reply.body["id"] for reply in replies}) == len({reply.headers["x-request-id"] for reply in replies}) == 8
    )


def test_a_model_that_is_not_there(server):
    [got] = calls(server, ask(server, model="no-such-model"))
    assert isinstance(got, Failure) and got.kind is server.no_model and "no-such-model" in got.message


def test_an_address_that_is_not_there(server):
    [got] = calls(server, ask(server), url=server.url + "/elsewhere")
    assert isinstance(got, Failure) and (got.kind, got.status) == (Kind.FATAL, 404)


def test_a_request_without_messages_is_no_answer(server):
    """The vendor says 400; `transformers serve` says 500."""
    [got] = calls(server, Request("r", 0, 0, 0, server.model, (), {}))
    assert isinstance(got, Failure) and got.kind in (Kind.PERMANENT, Kind.TRANSIENT)


def test_who_gives_up_waiting_can_call_again(server):
    [lost] = calls(server, ask(server, max_output_tokens=1000), timeout=0.03)
    assert isinstance(lost, Failure) and lost.kind is Kind.DOUBTFUL
    [reply] = calls(server, ask(server))
    assert isinstance(reply, Reply)
