"""What a model says about its text or instead of it is told from what the text says."""

import pytest

from tests.data_gen.one_check import STORY, chat, outcome, reason
from tests.data_gen.recipes_by_hand import PROMPT

META = [
    ("Here is your story:\n\nA dog ran.", "preamble"),
    ("Sure! Here's a short story for you:\nA dog ran.", "preamble"),
    ("Certainly!\n\nA dog ran.", "preamble"),
    ("Of course! Here is a tale about a dog.\n\nA dog ran.", "preamble"),
    ("Below is a story that uses the words dog and run:\nA dog ran.", "preamble"),
    ("This is the story you asked for.\nA dog ran.", "preamble"),
    ("Title: The Dog\n\nA dog ran.", "title"),
    ("The Brave Little Dog\n\nA dog ran.", "title"),
    ("# The Dog\n\nA dog ran.", "heading"),
    ("A dog ran.\n\n---\n\nA cat sat.", "heading"),
    ("A dog ran.\n\n(Word count: 180)", "note"),
    ("A dog ran.\n\n182 words", "note"),
    ("A dog ran.\n\nWords used: dog, run, happy", "note"),
    ("A dog ran.\n\nNote: I used simple words.", "note"),
    ("A dog ran.\n\nI hope you like this story!", "closer"),
    ("A dog ran.\n\nLet me know if you want changes.", "closer"),
    ("A dog ran.\n\nThis story uses all three words.", "closer"),
    ("```\nA dog ran.", "fence"),
    ("A dog named [Name] ran.", "placeholder"),
    ("A {noun} ran.", "placeholder"),
    ("A dog ran.</s>", "mark"),
    (f"{PROMPT.splitlines()[0]} A dog ran.", "echo"),
]


@pytest.mark.parametrize("text, kind", META)
def test_words_about_the_text(text, kind):
    assert outcome("meta", True, text) == (f"meta:{kind}", kind)


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        f"{STORY}\n\nThe end.",
        "Sure enough, a dog ran.\nIt was big.",
        "Here is a dog. It ran to the story hour.",
        "This is the story of a dog.\n\nIt ran.",
        "Let me tell you a story about a dog.\n\nIt ran.",
        "Once upon a time,\na dog ran.",
        '"Here is your ball!" said Tom.\n"Thank you."',
        'He read the story.\n\n"I hope you like this story," said Mom.',
        "Moral: share your toys.",
        "The three words were on the wall: stop, look, listen.",
    ],
)
def test_stories_have_no_words_about_themselves(text):
    assert reason("meta", True, text) == ""


def test_chats_may_talk_about_themselves():
    good = chat(
        "Can you tell me about dogs?", "Sure! Here is a story for you:\nA dog ran. Let me know if you want more!"
    )
    assert reason("meta", True, "", turns=good) == ""
    assert reason("meta", True, "", turns=chat("User: Hi!", "Hello.")) == "meta:role"
    assert reason("meta", True, "", turns=chat("Hi, I am [name].", "Hello.")) == "meta:placeholder"
    assert reason("meta", True, "", turns=chat(PROMPT.splitlines()[0], "Hello.")) == "meta:echo"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m so sorry, I cannot write this story.",
        "Sorry, but I'm unable to create that story.",
        "I can't assist with that request.",
        "I cannot fulfill this request.",
        "Unfortunately, I am not able to generate such content.",
        "As an AI language model, I do not tell stories.",
        "A dog ran. As an AI language model I like dogs.",
        "Your request violates our policy.",
    ],
)
def test_refusals(text):
    assert reason("refusals", True, text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "\"I'm sorry, but I can't find your ball,\" said Tom.",
        "I can't find my dog. It ran to the park.",
        "Sorry is a hard word. Tom can't help you, said Mom.",
        STORY,
    ],
)
def test_sorry_children_do_not_refuse(text):
    assert reason("refusals", True, text) == ""


def test_in_a_chat_the_assistant_may_say_no():
    assert reason("refusals", True, "", turns=chat("Give it back!", "I'm sorry, but I can't do that.")) == ""
    assert reason("refusals", True, "", turns=chat("Hi!", "As an AI language model, I am fine.")) == "refusal"
