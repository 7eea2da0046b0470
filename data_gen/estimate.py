"""What a run will cost, before anything is spent: the requests are made just as the run makes them, and not sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_gen.engine import worst_cost
from data_gen.factors import Sampler
from data_gen.order import Order
from data_gen.plan import items
from data_gen.prices import BYTES_A_TOKEN, Price, about_tokens
from data_gen.recipe import Recipe, Step
from data_gen.render import render
from data_gen.request import Request

SAMPLE = 2_000  # documents whose requests are rendered; more are taken as like these
WORD_BYTES = 5.3  # of English, its space and marks included: 1,000 stories of the offline writer have 5.27
FRAME = 12  # tokens of JSON around a turn of a chat
EITHER_WAY = 0.25  # of a token count that no tokenizer gave


@dataclass(frozen=True)
class Estimate:
    """For a whole run. Money in picodollars.

    requests: if every answer is good; `most_requests`: if every candidate is asked, redraws included.
    low, likely, high: of the cost, if every answer is good and as short as the checks allow, of middling length, or
              as long as its limit; with the uncertainty of counting tokens without a tokenizer.
    worst:    every candidate asked and every answer as long as its limit. What a cap is for.
    """

    requests: int
    most_requests: int
    rendered: int
    input_tokens: int
    output_tokens: int
    most_output_tokens: int
    low: int
    likely: int
    high: int
    worst: int
    space: int


def estimate(order: Order, price: Price) -> Estimate:
    """Renders up to SAMPLE documents' requests, spread over the run, and prices them. No network."""
    recipe = order.recipe
    sampler = Sampler(recipe, order.seed)
    wanted = -(-order.target // items(recipe))  # answers
    count = min(wanted, SAMPLE)
    given = made = limit = 0.0
    low = likely = high = worst = 0.0
    for n in range(count):
        factors = sampler.draw(n * wanted // count)
        earlier: dict[str, str] = {}
        for number, step in enumerate(recipe.steps):
            request = render(
                recipe, number, factors, earlier, index=n, sample=0, model=order.model, overrides=order.overrides
            )
            tokens = about_tokens("".join(message["content"] for message in request.messages)) + 4 * len(
                request.messages
            )
            most = request.params["max_output_tokens"]
            least, middle = expected_tokens(step, most)
            given, made, limit = given + tokens, made + middle, limit + most
            low += _cost(price, tokens * (1 - EITHER_WAY), least * (1 - EITHER_WAY))
            likely += _cost(price, tokens, middle)
            high += _cost(price, tokens * (1 + EITHER_WAY), most)
            worst += worst_cost(price, request)
            earlier[step.name] = filler(middle)
    scale = wanted / count
    asks = order.most * (1 + recipe.redraws)
    return Estimate(
        requests=wanted * len(recipe.steps), most_requests=asks * len(recipe.steps), rendered=count * len(recipe.steps),
        input_tokens=round(given * scale), output_tokens=round(made * scale), most_output_tokens=round(limit * scale),
        low=round(low * scale), likely=round(likely * scale), high=round(high * scale), worst=round(worst / count * asks),
        space=sampler.space,
    )  # fmt: skip


def expected_tokens(step: Step, most: int) -> tuple[float, float]:
    """(least, middling) tokens of an answer, from what the checks allow; where they say nothing, from its limit.

    Middling is the geometric mean of the least and the most, of a chat the middle of the turns and a third of the way to
    the longest turn: checks are wide, and answers are nearer to their lower end. Neither is measured.
    """
    word = WORD_BYTES / BYTES_A_TOKEN
    checks, least, longest = step.checks, most / 10, float(most)
    if "turns" in checks and "turn_words" in checks:
        (few, many), (short, long) = checks["turns"], checks["turn_words"]
        least = few * (short * word + FRAME)
        middle = (few + many) / 2 * ((short + (long - short) / 3) * word + FRAME)
        return min(least, most), min(middle, most)
    if "words" in checks:
        least, longest = (end * word for end in checks["words"])
    elif "characters" in checks:
        least, longest = (end / BYTES_A_TOKEN for end in checks["characters"])
    packed = checks.get("items", 1)
    least, longest = min(least * packed, most), min(longest * packed, most)
    return least, (max(1.0, least) * longest) ** 0.5


def filler(tokens: float) -> str:
    """Text of about so many tokens, where an earlier step's answer will stand."""
    return ("word " * (1 + int(tokens * BYTES_A_TOKEN / 5))).strip()


def _cost(price: Price, given: float, made: float) -> float:
    return given * price.input + made * price.output


def shown(recipe: Recipe, order: Order, count: int) -> Sequence[tuple[Request, dict[str, Any]]]:
    """The first requests of the first `count` documents, and what was drawn for them."""
    sampler = Sampler(recipe, order.seed)
    drawn = [sampler.draw(index) for index in range(count)]
    return [
        (render(recipe, 0, factors, {}, index=i, sample=0, model=order.model, overrides=order.overrides), factors)
        for i, factors in enumerate(drawn)
    ]
