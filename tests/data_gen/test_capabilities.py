"""The bodies that models of each family get, and what is refused before it costs anything."""

import json

import pytest

from data_gen.capabilities import ENDPOINTS, PARAMS, Profile, body, profile
from data_gen.request import Request
from tests.openai_server.answers import CHAT, RESPONSES, problem_of
from tsjax.errors import UserError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
MODELS = ("gpt-6-luna", "gpt-5.6-luna", "gpt-5.4-nano", "gpt-5-mini", "o3", "gpt-4o-mini", "gpt-4.1-mini", "my-llama")


def ask(model: str, **params) -> Request:
    return Request("r", 3, 0, 0, model, ({"role": "system", "content": "s"}, {"role": "user", "content": "u"}), params)


def test_chat():
    made, dropped = body(
        ask("gpt-4o-mini", temperature=0.5, top_p=0.9, max_output_tokens=7, schema=SCHEMA),
        "chat",
        profile("gpt-4o-mini"),
    )
    assert made == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
    }
    assert dropped == []


def test_responses():
    made, _ = body(
        ask("gpt-6-luna", effort="low", max_output_tokens=7, schema=SCHEMA),
        "responses",
        profile("gpt-6-luna"),
        tier="flex",
    )
    assert made == {
        "model": "gpt-6-luna",
        "input": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "max_output_tokens": 7,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}},
        "store": False,
        "stream": False,
        "service_tier": "flex",
    }


def test_an_unknown_model_is_taken_for_a_plain_one():
    assert profile("my-llama") == profile("gpt-2") == Profile()
    made, _ = body(ask("my-llama", temperature=0.7, max_output_tokens=7), "chat", Profile())
    assert made["max_tokens"] == 7 and made["temperature"] == 0.7 and "max_completion_tokens" not in made


@pytest.mark.parametrize(
    ("model", "params", "word"),
    [
        ("gpt-6-luna", {"temperature": 0.5}, 'effort = "none"'),
        ("gpt-6-luna-2026-05-01", {"top_p": 0.5, "effort": "low"}, 'effort = "none"'),
        ("gpt-5.4-nano", {"temperature": 0.5, "effort": "high"}, 'effort = "none"'),
        ("o3", {"temperature": 0.5}, "leave temperature out"),
        ("gpt-5-mini", {"effort": "none"}, "choose one of these"),
        ("gpt-4o-mini", {"effort": "low"}, "leave effort out"),
        ("my-llama", {"effort": "low"}, "leave effort out"),
    ],
)
def test_what_the_model_refuses_is_an_error_or_is_left_out(model, params, word):
    with pytest.raises(UserError) as told:
        body(ask(model, **params), "chat", profile(model))
    name = next(iter(told.value.found.split()))
    assert name in params and model in told.value.expected and word in told.value.todo
    made, dropped = body(ask(model, **params), "chat", profile(model), strict=False)
    assert dropped == [name]
    assert name not in made and (name != "effort" or "reasoning_effort" not in made)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "params",
    [{}, {"temperature": 1.0, "top_p": 1}, {"temperature": 0.7}, {"effort": "none"}, {"effort": "low"},
     {"temperature": 0.7, "effort": "none"}, {"max_output_tokens": 9}],
)  # fmt: skip
def test_the_server_refuses_no_body(model, endpoint, params):
    """The stub knows the vendor's rules by itself."""
    made, _ = body(ask(model, **params), endpoint, profile(model), strict=False)
    assert problem_of(CHAT if endpoint == "chat" else RESPONSES, made, MODELS) is None
    assert made == body(ask(model, **params), endpoint, profile(model), strict=False)[0]
    json.dumps(made, allow_nan=False)


def test_a_temperature_of_1_is_no_loss():
    made, dropped = body(ask("gpt-6-luna", temperature=1.0, top_p=1), "chat", profile("gpt-6-luna"))
    assert not {"temperature", "top_p"} & set(made) and dropped == []
    made, _ = body(ask("gpt-6-luna", temperature=0.7, effort="none"), "chat", profile("gpt-6-luna"))
    assert made["temperature"] == 0.7 and made["reasoning_effort"] == "none"


def test_mistyped():
    with pytest.raises(UserError, match="perhaps temperature"):
        body(ask("stub", temprature=1), "chat", Profile())
    with pytest.raises(UserError, match="a tier that stub has: standard"):
        body(ask("stub"), "chat", Profile(), tier="flex")
    with pytest.raises(UserError, match="an endpoint that stub has: chat;"):
        body(ask("stub"), "responses", Profile(endpoints=("chat",)))
    assert "service_tier" not in body(ask("stub"), "chat", Profile(), tier="standard")[0]
    assert set(PARAMS) == {"temperature", "top_p", "max_output_tokens", "effort", "schema"}


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    file = tmp_path / "models.toml"
    file.write_text("[[families]]\nname = 'mine'\nmatch = 'gpt-6-luna|my-'\nlimit = 'max_tokens'\nschema = false\n")
    assert profile("gpt-6-luna", file).name == profile("my-llama", file).name == "mine"
    assert profile("gpt-6-sol", file) == profile("gpt-6-sol")
    monkeypatch.setenv("TSJAX_MODELS", str(file))
    assert profile("my-llama").limit == "max_tokens"
    with pytest.raises(UserError, match="no schema"):
        body(ask("my-llama", schema=SCHEMA), "chat", profile("my-llama"))


@pytest.mark.parametrize(
    "text",
    ["[[families]]\nmatch = '('\n", "[[families]]\nname = 'x'\n", "[[families]]\nmatch = 'x'\nlimits = 'y'\n", "x",
     "[[families]]\nmatch = 'x'\nsampling = 'sometimes'\n", "[[families]]\nmatch = 'x'\neffort = 'low'\n"],
)  # fmt: skip
def test_a_bad_file_is_told(tmp_path, text):
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"models\.toml"):
        profile("x", file)
