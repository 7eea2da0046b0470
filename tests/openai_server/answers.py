"""What the stub answers: the words, the two APIs' envelopes, and the answers that are not what was asked for."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from data_gen.offline import write_story

Answer = Callable[[dict[str, Any]], str]  # the request's body -> the text of the answer; must be pure

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
REASONING = ("gpt-5", "gpt-6", "o1", "o3", "o4")
REFUSAL = "I'm sorry, but I can't help with that."
FLOOD = 4000


def key_of(body: dict[str, Any]) -> str:
    """What names a request: all that it asks. Requests that ask the same are one request, sent again."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]


def prompt_of(body: dict[str, Any]) -> str:
    """All text that the model would read."""
    texts = [body["instructions"]] if isinstance(body.get("instructions"), str) else []
    given = body.get("messages", body.get("input", []))
    for item in [{"content": given}] if isinstance(given, str) else given:
        content = item.get("content") or ""
        texts += [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(texts)


def tokens(text: str) -> int:
    """The stub's tokenizer: four bytes of UTF-8 are a token."""
    return (len(text.encode()) + 3) // 4


def offline_story(body: dict[str, Any]) -> str:
    """The default answer: a story of the offline writer, chosen by what is asked."""
    return write_story(0, int(key_of(body)[:12], 16))


def thinks(body: dict[str, Any]) -> bool:
    effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    return body["model"].startswith(REASONING) and effort != "none"


def problem_of(
    endpoint: str, body: Any, models: tuple[str, ...]
) -> tuple[int, str, str | None, str, str | None] | None:
    """What the vendor would refuse in this request: status, type, code, message, param."""
    invalid = "invalid_request_error"
    needed = "messages" if endpoint == CHAT else "input"
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return 400, invalid, None, "you must provide a model parameter", "model"
    if body["model"] not in models:
        return 404, invalid, "model_not_found", f"The model `{body['model']}` does not exist.", None
    if not body.get(needed):
        return 400, invalid, "missing_required_parameter", f"Missing required parameter: '{needed}'.", needed
    if body.get("stream") or body.get("n", 1) != 1:
        return 400, invalid, "unsupported_value", "The stub neither streams nor gives several choices.", "stream"
    if thinks(body):
        for name in ("temperature", "top_p", "logprobs", "top_logprobs"):
            if body.get(name) is not None and not (name in ("temperature", "top_p") and body[name] == 1):
                return 400, invalid, "unsupported_value", f"Unsupported value: '{name}' with this model.", name
    if body["model"].startswith(REASONING) and body.get("max_tokens") is not None:
        message = "Unsupported parameter: 'max_tokens' with this model. Use 'max_completion_tokens' instead."
        return 400, invalid, "unsupported_parameter", message, "max_tokens"
    return None


class Made:
    """One finished answer: its envelope and what it costs."""

    def __init__(self, endpoint: str, body: dict[str, Any], text: str, faults: set[str], reasoning: int, name: str):
        self.model, self.faults = body["model"], faults
        self.tokens_in = tokens(prompt_of(body)) + tokens(
            json.dumps(body.get("response_format") or body.get("text") or "")
        )
        self.reasoning = reasoning if thinks(body) else 0
        self.text = self._spoken(text)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
        self.finish = "content_filter" if "content_filter" in faults else "stop"
        if limit is not None and self.reasoning + tokens(self.text) > limit:
            self.reasoning = min(self.reasoning, limit)
            self.text = self.text.encode()[: 4 * (limit - self.reasoning)].decode(errors="ignore")
            self.finish = "length"
        elif "length" in faults:
            self.text, self.finish = self.text[: len(self.text) // 2], "length"
        self.tokens_out = self.reasoning + tokens(self.text)
        self.id = "same-id" if "wrong_id" in faults else name
        self.envelope = self._chat() if endpoint == CHAT else self._responses()

    def _spoken(self, text: str) -> str:
        for fault, instead in {
            "refusal": REFUSAL,
            "repeated_answer": write_story(0, 0),
            "wrong_schema": '{"wrong": ["schema", 1]}',
            "fenced_json": f"Here it is:\n```json\n{text}\n```",
            "whitespace_flood": text[: len(text) // 2] + " \n\t " * (FLOOD // 4),
            "empty_text": "",
            "null_content": "",
        }.items():
            if fault in self.faults:
                return instead
        return text

    def _common(self) -> dict[str, Any]:
        common: dict[str, Any] = {"model": "another-model-2020" if "wrong_model" in self.faults else self.model}
        if "extra_fields" in self.faults:
            common |= {"new_field": {"deep": [1, None]}, "served_by": "stub"}
        return common

    def _created(self) -> int:
        return 4_102_444_800 if "clock_jump" in self.faults else int(time.time())

    def _chat(self) -> dict[str, Any]:
        refused = "refusal" in self.faults
        content = None if refused or "null_content" in self.faults else self.text
        message = {
            "role": "assistant",
            "content": content,
            "refusal": self.text if refused else None,
            "annotations": [],
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        envelope = {"id": f"chatcmpl-{self.id}", "object": "chat.completion", "created": self._created(),
                    "choices": [] if "empty_choices" in self.faults else [choice],
                    "service_tier": "default", "system_fingerprint": "fp_stub", **self._common()}  # fmt: skip
        if "no_usage" not in self.faults:
            envelope["usage"] = {
                "prompt_tokens": self.tokens_in,
                "completion_tokens": self.tokens_out,
                "total_tokens": self.tokens_in + self.tokens_out,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
            }
        return envelope

    def _responses(self) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}
        if "refusal" in self.faults:
            part = {"type": "refusal", "refusal": self.text}
        reason = {"length": "max_output_tokens", "content_filter": "content_filter", "stop": None}[self.finish]
        status = "incomplete" if reason else "completed"
        parts = [] if "null_content" in self.faults else [part]
        message = {"type": "message", "id": f"msg_{self.id}", "role": "assistant", "status": status, "content": parts}
        envelope = {"id": f"resp_{self.id}", "object": "response", "created_at": self._created(), "status": status,
                    "output": [] if "empty_choices" in self.faults else [message], "error": None,
                    "incomplete_details": {"reason": reason} if reason else None, "instructions": None, "metadata": {},
                    "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
                    **self._common()}  # fmt: skip
        if "no_usage" not in self.faults:
            envelope["usage"] = self.usage()
        return envelope

    def usage(self) -> dict[str, Any]:
        """As the responses API and the batch object tell it."""
        return {
            "input_tokens": self.tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self.tokens_out,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.tokens_in + self.tokens_out,
        }
