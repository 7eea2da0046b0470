"""The offline writer as a backend: it answers at once, without network, key or cost."""

from data_gen.answer import Reply
from data_gen.offline.answers import write_answer
from data_gen.prices import about_tokens
from data_gen.recipe import Recipe
from data_gen.request import Request

MODEL = "offline-writer"


class Offline:
    """Answers any request of `recipe`, in the shape of a chat completion. Tokens are estimates from bytes."""

    name = "offline"

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    async def call(self, request: Request) -> Reply:
        text = write_answer(self.recipe, request)
        given = round(sum(about_tokens(message["content"]) for message in request.messages))
        made = round(about_tokens(text))
        message = {"role": "assistant", "content": text, "refusal": None}
        body = {
            "id": f"offline-{request.id}",
            "object": "chat.completion",
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
        }
        return Reply(200, body)
