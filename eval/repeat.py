"""The first repeated 4-gram of a text. The paper cuts the stories of its baselines there, which go round in circles."""

import re

GRAM = 4
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def end_of_news(text: str) -> int | None:
    """Where the text begins to repeat itself: the place up to which to keep it; None where no 4-gram comes twice.

    Words, not tokens, so that texts of models with other tokenizers are cut alike: runs of letters and digits, in lower
    case, punctuation ignored. The prompt's words do not count. The text is kept up to the end of the word before the
    second occurrence of the first 4-gram to come again, with the punctuation behind it, and at least the first
    occurrence is kept whole.
    """
    words = list(_WORD.finditer(text))
    spelled = [word[0].lower() for word in words]
    first: dict[tuple[str, ...], int] = {}
    for at in range(len(spelled) - GRAM + 1):
        before = first.setdefault(tuple(spelled[at : at + GRAM]), at)
        if before < at:
            second = max(at, before + GRAM)  # of "ha ha ha ha ha ha" the first four stay
            between = text[words[second - 1].end() : words[second].start()]
            return words[second - 1].end() + len(between.rstrip())
    return None
