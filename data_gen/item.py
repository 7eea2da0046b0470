"""One accepted answer -> one record of the data set, with the fields that `tsjax prepare` and `instruct` read."""

from collections.abc import Mapping
from random import Random
from typing import Any

from data_gen.examine import Finding
from data_gen.recipe import Recipe, Shape
from tsjax.corpus import SEPARATOR, Document, chat, instruct
from tsjax.corpus.duplicates import normal_hash

STORY, INSTRUCT, CHAT = KINDS = ("story", "instruct", "chat")


def body(
    recipe: Recipe, seed: int, factors: Mapping[str, Any], finding: Finding, texts: Mapping[str, str]
) -> dict[str, Any]:
    """`text`, and what it is made of: `messages` of a chat; `words`, `features` and `summary` that were asked for or
    given; of kind instruct also `story`, `sentence` and `instructions`.

    finding: of the step that is the text; texts: of all steps, by name. The instructions follow from the story's normal
    form and `seed`, as in `data_gen.instruct`. ValueError says, in one stable word, why there can be no document.
    """
    shape = recipe.shape
    asked = _asked(shape, factors, texts)
    made: dict[str, Any]
    if shape.kind == CHAT:
        messages = [{"role": m["role"], "content": m["content"]} for m in finding.messages or ()]
        try:
            text = chat.render(chat.Turn(m["role"], m["content"]) for m in messages)
        except ValueError:
            raise ValueError("no_chat") from None
        made = {"text": text, "messages": messages, **asked}
    elif shape.kind == INSTRUCT:
        story = finding.text
        random = Random(f"{seed} {normal_hash(_sound(story), seed)}")
        try:
            drawn = instruct.draw(Document(story, story, asked), random, ood=None)
        except ValueError:
            raise ValueError("nothing_to_ask") from None
        made = {
            "text": drawn.render(),
            "story": drawn.story,
            **asked,
            "sentence": drawn.sentence,
            "instructions": drawn.kinds,
        }
    else:
        made = {"text": finding.text, **asked}
    _sound(made["text"])
    return made


def judged_text(made: Mapping[str, Any]) -> str:
    """The part of a body that copies are found by: the story below the instructions, or all of the text."""
    return made.get("story", made["text"])


def _asked(shape: Shape, factors: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    words = [word for name in shape.words for word in _labels(factors.get(name))]
    features = _labels(factors.get(shape.features))
    summary = texts[shape.summary] if shape.summary else ""
    return {key: value for key, value in (("words", words), ("features", features), ("summary", summary)) if value}


def _labels(drawn: Any) -> list[str]:
    return [] if drawn is None else [drawn] if isinstance(drawn, str) else list(drawn)


def _sound(text: str) -> str:
    """The text, if every reader can read it."""
    if SEPARATOR in text:
        raise ValueError("separator")  # `tsjax prepare` would cut it in two
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half_character") from None
    return text
