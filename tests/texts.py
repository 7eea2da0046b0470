"""Made-up texts for tests: what a text may hold, and stories in the manner of TinyStories."""

import random

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])


def stories(count: int, seed: int = 0, words: int = 600) -> list[str]:
    """Made-up stories of made-up words, some common and some rare, with paragraphs and quotation marks."""
    rng = random.Random(seed)
    syllables = [c + v for c in "bdfgklmnprst" for v in "aeiou"]
    lexicon = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(words)]
    weights = [1 / (i + 1) for i in range(words)]

    def sentence() -> str:
        return " ".join(rng.choices(lexicon, weights, k=rng.randint(4, 12))).capitalize() + rng.choice(".!?")

    return [
        "\n\n".join(f'{sentence()} "{sentence()}" {sentence()}' for _ in range(rng.randint(1, 3))) for _ in range(count)
    ]


def chats(count: int, seed: int = 0) -> list[str]:
    """Made-up chats of a few turns, one line each, as TinyChat's."""
    rng = random.Random(seed)
    said = [text.split('"')[1].lower() for text in stories(6 * count, seed)]
    return [
        " ".join(f"[INST] {rng.choice(said)} [/INST] {rng.choice(said)}" for _ in range(rng.randint(1, 3)))
        for _ in range(count)
    ]


def awkward(count: int, seed: int = 0) -> list[str]:
    """Stories' words with what tokenizers stumble over between them: spaces, line breaks, marks, emoji, special tokens."""
    rng = random.Random(seed)
    words = " ".join(stories(20, seed)).split(" ")
    odd = [
        "", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "'s", '"', "“", "”", "’", "—", "…", "é", "ñ", "ß", "世界", "😀",
        "👩‍👩‍👧", "\u00a0", "\u0301", "123", "0", "<s>", "</s>", "<unk>", "<pad>", "<0x41>", "<|endoftext|>", "[INST]",
        "[/INST]", "[SYS]", "\0", "_", "##", "A", "ABC",
    ]  # fmt: skip
    texts = []
    for _ in range(count):
        parts = (rng.choice(words if rng.random() < 0.5 else odd) for _ in range(rng.randint(0, 12)))
        texts.append("".join(part + rng.choice(("", " ", " ", "  ")) for part in parts))
    return texts
