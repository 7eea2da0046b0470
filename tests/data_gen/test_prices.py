"""Money in whole picodollars, and never less than the vendor will ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_gen.answer import Usage
from data_gen.prices import DOLLAR, Price, Prices, at_most_tokens, dollars
from tests.openai_server import bill
from tsjax.errors import UserError

# The reference's table: USD for a million stories of 130 + 250 tokens, and the same in batches.
STORIES = {
    "gpt-6-luna": (138, 69),
    "gpt-5.6-luna": (326, 163),
    "gpt-5.4-nano": (338.5, 169.25),
    "gpt-4o-mini": (169.5, 84.75),
    "gpt-6.1-terra": (1380, 690),
    "gpt-6-sol": (2760, 1380),
    "gpt-6-astra": (13800, 6900),
}


@pytest.fixture(autouse=True)
def bundled_only(monkeypatch):
    monkeypatch.delenv("TSJAX_PRICES", raising=False)


@pytest.mark.parametrize("model", STORIES)
def test_a_million_stories(model):
    prices, story = Prices.load(), Usage(130, 250)
    standard, batch = (prices.of(model, tier).cost(story) * 10**6 / DOLLAR for tier in ("standard", "batch"))
    assert (standard, batch) == STORIES[model]
    assert set(prices.table) == set(STORIES)


def test_a_dated_name_has_the_price_of_its_model_and_no_other_has():
    prices = Prices.load()
    for name in "gpt-6-luna-2026-05-01", "gpt-6-luna-20260501", "gpt-6-luna-latest":
        assert prices.of(name).input == prices.of("gpt-6-luna").input
    for name in "gpt-6", "gpt-6-lunar", "gpt-4o-mini-tts", "gpt-6-luna-2026-05-01-x", "stub", "":
        with pytest.raises(UserError, match="expected a price for the model"):
            prices.of(name)
    with pytest.raises(UserError) as told:
        prices.of("gpt-6-lunar")
    assert "gpt-6-luna" in told.value.found and '[models."gpt-6-lunar"]\ninput = 0.00\noutput' in told.value.todo
    with pytest.raises(UserError, match="flex price for the model 'gpt-4o-mini'"):
        prices.of("gpt-4o-mini", "flex")
    assert prices.of("my-llama", free=True).worst(10**6, 10**6) == 0


def test_the_three_lines_of_the_error_are_a_price_file(tmp_path):
    with pytest.raises(UserError) as told:
        Prices.load().of("my llama")
    (tmp_path / "mine.toml").write_text(told.value.todo.split(":\n", 1)[1])
    assert Prices.load(tmp_path / "mine.toml").of("my llama").worst(5, 5) == 0


def test_a_file_of_ones_own_wins_model_by_model(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text(
        'date = 2027-01-01\n[models."gpt-6-luna"]\ninput = 0.2\noutput = 1\ncached = 0.02\ncache_write = 0.25\n'
    )
    own, bundled = Prices.load(file), Prices.load()
    price = own.of("gpt-6-luna")
    assert (price.input, price.output, price.cached, price.cache_write) == (200_000, 1_000_000, 20_000, 250_000)
    assert own.date == "2027-01-01" and own.id != bundled.id and own.of("gpt-6-sol") == bundled.of("gpt-6-sol")
    with pytest.raises(UserError, match="batch price"):  # the bundled share is for the bundled price
        own.of("gpt-6-luna", "batch")
    monkeypatch.setenv("TSJAX_PRICES", str(file))
    assert Prices.load() == own and Prices.load(file).id == own.id


@pytest.mark.parametrize(
    "text",
    ["[models.x]\ninput = 1", "[models.x]\ninput = -1\noutput = 1", "[models.x]\ninput = nan\noutput = 1", "models = 3",
     "[models.x]\ninput = '1'\noutput = 1", "[models.x]\ninput = 1\noutput = true", "[models.x", "[models]\nx = 3",
     "[models.x]\ninput = 1\noutput = 1\ncashed = 1", "model = {}", "date = 2027-01-01\n[prices.x]\ninput = 1\noutput = 1"],
)  # fmt: skip
def test_a_bad_file_is_told(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"mine\.toml"):
        Prices.load(file)
    with pytest.raises(UserError, match=r"none\.toml"):
        Prices.load(tmp_path / "none.toml")


COUNTS = st.integers(0, 10**7)


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([(1, 1), (1, 10), (125, 10)]))
def test_no_usage_costs_more_than_the_worst_case(given_tokens, made, cached, written, shares):
    price = Price("m", "standard", 100_000, 500_000, 1000 * shares[1], 1000 * shares[0])
    cost = price.cost(Usage(given_tokens, made, cached, written))
    assert isinstance(cost, int) and 0 <= cost <= price.worst(given_tokens, made)


def test_the_tier_that_served_decides_the_price_and_the_reserve_covers_the_dearer():
    prices, usage, standard = Prices.load(), Usage(100, 50), 100 * 100_000 + 50 * 500_000
    flex, plain = prices.of("gpt-6-luna", "flex"), prices.of("gpt-6-luna")
    reserve = flex.worst(100, 50)
    assert reserve == plain.worst(100, 50) >= standard
    assert flex.booked(usage, "flex", reserve) == plain.booked(usage, "flex", reserve) == (standard // 2, 0)
    assert flex.booked(usage, "default", reserve) == plain.booked(usage, "", reserve) == (standard, 0)
    assert flex.booked(usage, "", reserve) == (standard // 2, standard // 2)  # which of the two was not told
    assert plain.booked(usage, "priority", reserve) == (standard, reserve - standard)
    assert prices.of("gpt-4o-mini").booked(usage, "flex", 10**9)[0] == prices.of("gpt-4o-mini").cost(usage)
    batch = prices.of("gpt-6-luna", "batch")
    assert batch.booked(usage, "", reserve) == (standard // 2, 0) and batch.worst(100, 50) < reserve


@pytest.mark.parametrize("usage", [None, Usage(10**9, 1), Usage(1, 10**9), Usage(10**8, 10**8)])
def test_no_usage_and_one_that_can_not_be_put_the_reserve_in_doubt(usage):
    price = Prices.load().of("gpt-6-luna")
    assert price.booked(usage, "default", price.worst(300, 700)) == (0, price.worst(300, 700))
    assert Prices.load().of("my-llama", free=True).booked(usage, "", 0) == (0, 0)


def test_cached_and_written_tokens_are_part_of_the_input():
    price = Price("m", "standard", 100, 500, 10, 125)
    assert price.cost(Usage(1000, 3, 200, 100)) == 700 * 100 + 200 * 10 + 100 * 125 + 3 * 500
    assert price.cost(Usage(1000, 300, reasoning=200)) == 1000 * 100 + 300 * 500  # reasoning is within the output


def test_the_books_of_client_and_server_agree():
    rows = [{"event": "billed", "model": "gpt-6-luna", "tokens_in": 7, "tokens_out": 11, "batch": None}]
    cost = Prices.load().of("gpt-6-luna").cost(Usage(7, 11))
    assert cost / DOLLAR == pytest.approx(bill(rows, {"gpt-6-luna": (0.10, 0.50)}))


def test_a_price_between_two_picodollars_is_rounded_up(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[models.m]\ninput = 0.0000001\noutput = 0.3\nbatch = 0.3333333\n")
    price = Prices.load(file).of("m", "batch")
    assert (price.input, price.output) == (1, 100_000)


def test_dollars():
    assert [dollars(x) for x in (0, 1, 123_456_789, 138_000_000, DOLLAR, 1234 * DOLLAR, 69 * DOLLAR // 100)] == [
        "$0.00", "$0.000000000001", "$0.00012", "$0.00014", "$1.00", "$1,234.00", "$0.69",
    ]  # fmt: skip


MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.text(max_size=200)})


@given(st.lists(MESSAGE, min_size=1, max_size=4))
def test_at_most_is_more_than_the_bytes(messages):
    size = sum(len(message["content"].encode()) for message in messages)
    assert at_most_tokens(messages) >= size + 4 * len(messages)
    assert at_most_tokens(messages, {"type": "object"}) > at_most_tokens(messages)
