"""Everyday chats of a user and an assistant around any noun, verb and adjective of the word list."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from data_gen.offline import frames
from data_gen.offline.template import capital, readings

Chat = list[tuple[str, str]]  # (role, text)


_STARTS = {
    "Greeting": readings("[Hello|Hi|Good morning]! I feel {feeling} [today|now].", "[Hi|Hello] there. I am {feeling} today."),
    "Question": readings("[Can|May] I ask you something? I feel {feeling} [today|now].",
                     "Do you have time to talk? I am {feeling} today."),
    "Suggestion": readings("Let us talk for a while. I feel {feeling} [today|now].",
                       "We could talk a little. I am {feeling} today."),
}  # fmt: skip
_WHY = {
    "happy": readings("That is [good|nice] to hear! What made you [happy|so happy]?", "How nice! Tell me about it."),
    "sad": readings(
        "I am sorry to hear that. What [happened|made you sad]?", "Oh, that is hard. Tell me [about it|what happened]."
    ),
    "curious": readings(
        "That is a good way to be! What do you want to know?", "I like that. What [is it about|do you want to know]?"
    ),
    "worried": readings("I am here for you. What [is wrong|worries you]?", "Take your time. What is on your mind?"),
    "proud": readings("That is great! What did you do?", "Well done! Tell me [all about it|what you did]."),
    "tired": readings(
        "Then sit down for a while. What [did you do|made you tired]?", "Maybe you need a nap. Was it a long day?"
    ),
    "surprised": readings("Oh! What [happened|was it]?", "That sounds fun. Tell me [about it|more]."),
    "": readings(
        "I am glad that you tell me. [Why is that|What happened]?", "Tell me more. What [is it about|happened]?"
    ),
}
_NOUN = readings(
    "I had a dream about {noun} [last night|this morning].",
    "My [teacher|mom|dad|grandma] told me a story about {noun}.",
    "It is about {noun}. I [think|thought] about it all day.",
    "We talked about {noun} at [school|home|dinner] today.",
    "I drew a picture of {noun}, and [my mom saw it|everybody looked at it].",
)
_TELL = readings("And how was it?", "That sounds [nice|interesting]. And then?", "I would like to hear more.",
             "What did you [think|do] then?", "[Oh, really|Is that so]? Please go on.")  # fmt: skip
_VERB = {
    "verb": readings(
        "Now I want to {verb}, but I [do not know how|need some help].",
        "After that I began to {verb}. It was [fun|not easy].",
        "I [tried|wanted] to {verb}, and [my friend|my sister|my brother] helped me.",
        "Then I had to {verb}. [I liked it|It took all day].",
    ),
    "happen": readings("Then I saw things {word}.", "And do you know what makes things {word}?"),
    "unkind": readings(
        "And my brother said that it is not nice to {word} others.", "My teacher says we must not {word} others."
    ),
    "naughty": readings("My mom says that it is not nice to {word}.", "And my teacher said that we must not {word}."),
    "alone": readings(
        'And there was a word that I did not know: "{word}".', 'Then I read the word "{word}" in a book.'
    ),
}
_ANSWERS = readings(
    "I see. You can [ask somebody at home|try it again tomorrow], and I am sure that it will be good.",
    "That is [a good thing|nice] to tell me. Everybody learns [a little|something new] every day.",
    "You did [well|the right thing]. I am glad that you told me.",
    "Good. I think that you [know a lot|can be proud of that] now.",
    "[Do not worry|It is all right]. Things like that need [some time|a little time].",
)
_ADJECTIVE = {
    "adjective": readings(
        "I also made up a song about {a_adj} [bear|dragon|mouse|king].",
        "And there was {a_adj} [cow|giant|witch|bird] in [my book|the movie].",
        "In the end we played a game with {a_adj} [pirate|monster|queen] in it.",
    ),
    "behind": readings(
        "I also had a dream in which everybody was {word}.", "In my book, all the [bears|mice] were {word}."
    ),
    "alone": readings('I like the word "{word}", too.', 'And I can write the word "{word}" now.'),
}
_MORE = readings("[Ha, that|That] is a good one!", "I like that [a lot|very much].", "That makes me [smile|laugh].",
             "What a good idea.", "I would [like|love] to see that.")  # fmt: skip
_ENDS = {
    "Thanks": (readings("Thank you for [talking with me|your time|listening]!", "Thanks! You [helped me a lot|are very nice]."),
               readings("You are welcome. [Come back soon|I am always here].", "I was happy to help. Have a nice day!")),
    "Goodbye": (readings("I have to go [home|to bed|to school] now. Goodbye!", "Goodbye! [See you tomorrow|See you soon]."),
                readings("Goodbye! [Have a nice day|Sleep well|Take care].", "See you soon. Goodbye!")),
    "Plan": (readings("Then I will [call my friend|tell my mom|try it|draw it] [first|now].", "So what do we do next?"),
             readings("Good. [You do that first|First you rest a little], and tomorrow you tell me how it was.",
                  "Let us do it this way: [you try it|you ask your mom] today, and we talk tomorrow.")),
    "": (readings("That was all. Thank you!"), readings("You are welcome. Goodbye!")),
}  # fmt: skip
_GENERAL = readings(
    "I want to know more about this: {value}.", "Another thing is this: {value}.", "Can we talk about this: {value}?"
)


def talk(number: int, words: Sequence[tuple[str, str]], factors: Mapping[str, Any], most: int = 10) -> Chat:
    """A chat of 4 to 8 turns, at most `most`, which begins with the user and ends with the assistant.

    words:   (word, part of speech) that it uses.
    factors: of these `feeling`, `starting` and `ending` shape it, and `marks`: NoQuestionMarks. Others are talked about
             where no words are given.
    """
    dice = Random(number)
    feeling = str(factors.get("feeling", "fine"))
    turns = [_one(dice, _STARTS, factors.get("starting", "Greeting"), feeling=feeling)]
    lines = [_line(dice, word, pos) for word, pos in words]
    if not lines:
        told = [value for value in factors.values() if isinstance(value, str)]
        lines = [dice.choice(_GENERAL).format(value=value) for value in told]
    turns.append(_one(dice, _WHY, feeling))
    pairs = max(1, most // 2 - 2)
    while len(lines) > pairs:
        lines[-2:] = [" ".join(lines[-2:])]
    if len(lines) == 3 and dice.random() < 0.6:
        lines[:] = [" ".join(lines[:2]), lines[2]] if dice.random() < 0.5 else [lines[0], " ".join(lines[1:])]
    for number_, line in enumerate(lines):
        replies = (_TELL, _ANSWERS, _MORE)[min(number_, 2)]
        turns += [line, dice.choice(replies if len(lines) > 1 else _ANSWERS)]
    last = factors.get("ending", "")
    user, assistant = _ENDS.get(last if isinstance(last, str) else "", _ENDS[""])
    turns += [dice.choice(user), dice.choice(assistant)]
    if factors.get("marks") == "NoQuestionMarks":
        turns = [text.replace("?", ".") for text in turns]
    return [(("user", "assistant")[k % 2], text) for k, text in enumerate(turns)]


def _line(dice: Random, word: str, pos: str) -> str:
    kind = frames.kind_of(word, pos)
    if kind == "noun":
        return capital(dice.choice(_NOUN).format(**frames.fields_of(word, pos, "my")))
    templates = (_VERB if pos == "verb" else _ADJECTIVE).get(kind, _VERB["alone"])
    return dice.choice(templates).format(**frames.fields_of(word, pos, "my"))


def _one(dice: Random, table: Mapping[str, Sequence[str]], key: Any, **fields: str) -> str:
    """A text of the table's row for the key; where it has none, of its last row."""
    rows = table.get(str(key)) or list(table.values())[-1]
    return dice.choice(rows).format(**fields)
