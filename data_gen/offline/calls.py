"""Chats of a customer with the service of a shop: product, issue, mood and outcome decide what is said."""

import calendar
from collections.abc import Mapping
from random import Random
from typing import Any

from data_gen.offline.call_lines import ISSUES, MOODS, NAMES, OUTCOMES, POINTLESS, QUESTIONS, SORRY
from data_gen.offline.template import capital

Chat = list[tuple[str, str]]  # (role, text)


_MONTHS = tuple(calendar.month_name)[1:]
_PAIRS = ("headphones", "scissors", "earphones", "gloves", "trousers", "glasses")
_VOWELS = "aeiou"


def call(number: int, factors: Mapping[str, Any]) -> Chat:
    """A chat of `length` turns (4 to 12), first the customer (user), last the assistant.

    factors: labels of `product`, `issue`, `mood`, `outcome`, `customer` and `length`, as far as they are there. An
    issue or outcome that is not known here is told as it is written.
    """
    dice = Random(number)
    product = str(factors.get("product", "order"))
    words = {
        "it": f"pair of {product}" if product in _PAIRS else product,
        "number": str(dice.randrange(10_000, 100_000)),
        "day": str(dice.randrange(3, 29)),
        "month": dice.choice(_MONTHS),
        "name": str(factors.get("customer", "")),
        "serial": "".join(dice.choice("ABCDEFGHKLMNPRST") for _ in range(2)) + str(dice.randrange(1000, 10_000)),
    }

    def say(options: tuple[str, ...]) -> str:
        text = dice.choice(options).format(**words)
        return text.replace(f" a {words['it']}", f" an {words['it']}") if words["it"][0] in _VOWELS else text

    length = str(factors.get("length", "6"))
    pairs = max(2, min(6, int(length) // 2)) if length.isdigit() else 3
    issue = str(factors.get("issue", ""))
    problem = say(ISSUES[issue]) if issue in ISSUES else capital(f"it is about this: {issue or 'an order'}.")
    mood = MOODS.get(str(factors.get("mood", "")), MOODS["calm"])
    first = [say(mood), problem] + ([say(NAMES)] if words["name"] else [])
    wish, offer, reply, last = OUTCOMES.get(str(factors.get("outcome", "")), OUTCOMES["solved"])
    turns = [" ".join(first)]
    if pairs == 2:
        turns += [f"{say(SORRY)} {say(offer)}", say(reply), say(last)]
    else:
        more = [key for key in QUESTIONS if key != "order" and issue not in POINTLESS.get(key, ())]
        for key in ["order", *dice.sample(more, pairs - 3)]:
            question, answer = QUESTIONS[key]
            sorry = f"{say(SORRY)} " if len(turns) == 1 else dice.choice(("", "Thank you. ", "I see. "))
            turns += [sorry + say(question), say(answer)]
        turns[-1] += f" {say(wish)}"
        turns += [say(offer), say(reply), say(last)]
    return [(("user", "assistant")[k % 2], text) for k, text in enumerate(turns)]
