"""Sentences around any noun, verb or adjective of the word list, for stories of the offline writer.

Fields are those of `template`: {A} the hero, {he}, {him}, {his}; besides, {noun} with its article, {verb} with what it
needs, {adj}, and {word}, the bare word. Sentences of `HABITS` stand after a story's opening, those of `NIGHTS` after
its ending.
"""

from data_gen.offline.template import variants, with_article
from data_gen.offline.verbs import ALONE, HAPPEN, NAUGHTY, UNKIND, phrase


def _all(*templates: str) -> tuple[str, ...]:
    return tuple(text for template in templates for text in variants(template))


# Nouns that stand without an article.
_BARE = frozenset("bedtime courage friendship kindergarten kindness nature preschool today tomorrow yesterday".split())
# Adjectives that stand behind a verb, never before a noun.
_BEHIND = frozenset(
    """afraid alike alive alone apart ashamed asleep awake aware back barefoot done downstairs gone glad ill inside near
    outside pleased sorry sure thrilled together unable upstairs well able stuck""".split()
)
# Those that only "the" goes with, or that no creature can be.
_ALONE = frozenset("best double early even first final extra last late left next only opposite other right same second single"
                   " triple top upper worst usual possible impossible worse better".split())  # fmt: skip

HABITS = {
    "noun": _all(
        "{He} had a song about {noun} and sang it [every day|all the time].",
        "{He} liked to think about {noun} [before breakfast|in bed].",
        "On {his} wall there was a picture of {noun}.",
        "{His} {elder} had told {him} [many things|a lot] about {noun}.",
        "The story that {he} liked best was the one about {noun}.",
        "{He} had once drawn a picture of {noun}, and it was [on the kitchen door|over {his} bed].",
        "{He} could talk about {noun} [all day long|for hours].",
    ),
    "verb": _all(
        "{He} liked to {verb} [before breakfast|after lunch|in the morning].",
        "Some days {he} wanted to {verb}, and some days {he} only wanted to sleep.",
        "{He} could {verb} [all day long|for hours].",
        "{His} {elder} had shown {him} how to {verb}.",
        '"May I {my_verb} now?" {he} often asked {his} {elder}.',
        "Now and then {he} would {verb} [for a while|just for fun].",
    ),
    "adjective": _all(
        "In {his} [picture book|favorite book] there was {a_adj} [dragon|giant|king|monster] that {he} liked best.",
        "{He} had a song about {a_adj} [bear|dragon|mouse|queen].",
        "At bedtime {his} {elder} told {him} about {a_adj} [giant|pirate|witch|wolf].",
        "On {his} wall there was a picture of {a_adj} [cow|elephant|king|bird].",
    ),
    "behind": _all(
        "{He} once had a dream in which everybody was {word}.",
        "In {his} picture book there was a page where all the [bears|mice|dragons] were {word}.",
    ),
    "happen": _all(
        "{He} liked to watch things {word}.",
        "{He} always wanted to know [what makes things|why some things] {word}.",
    ),
    "unkind": _all('"It is not nice to {word} others," {his} {elder} [often said|liked to say].'),
    "naughty": _all('"It is not nice to {word}," {his} {elder} [often said|liked to say].'),
    "alone": _all(
        'That week {he} had learned the word "{word}".',
        'There was one word that {he} liked to say all day, and that was "{word}".',
        '{He} could write "{word}" all by {himself}.',
    ),
}
NIGHTS = {
    "noun": _all(
        "That night, {A} dreamed of {noun}.",
        '"[Tomorrow|One day] I will tell you about {noun}," said {A}.',
        "At bedtime, {A} sang a little song about {noun}.",
    ),
    "verb": _all(
        'Then {A} said, "[Tomorrow|Next time] I want to {my_verb}!"',
        "That evening, {A} was too tired to {verb}.",
    ),
    "adjective": _all(
        "That night, {A} dreamed of {a_adj} [dragon|giant|king|cow].",
        'At bedtime, {A} asked for the story of {a_adj} [bear|mouse|queen|wolf].',
    ),
    "behind": _all("That night, {A} dreamed that everybody was {word}."),
    "happen": _all("That night, {A} dreamed of watching things {word}."),
}  # fmt: skip

FEATURES = {
    "Foreshadowing": _all(
        '"Today you will find out something new," {his} {elder} had said that morning, and that was true.',
        "That morning a little bird had sung outside the window, as if it knew what was to come.",
    ),
    "Conflict": _all(
        "At breakfast {A} wanted to [go out|stay up late], but {his} {elder} said no, and for a while they did not talk.",
        "{His} {elder} wanted a quiet day, but {A} wanted a loud one, and so they [argued|did not agree].",
    ),
    "Twist": _all(
        "And then came a surprise: it was {A}'s birthday, and nobody had said a word all day!",
        "But what was that? Behind the door stood {his} {elder}, who had [watched|seen] it all and had not said a word.",
    ),
    "BadEnding": _all(
        "But on the way home {A} fell into the mud and lost {his} new hat. {He} never found it again.",
        "But that night a storm came and [broke|took] what {A} loved most, and {A} went to bed sad.",
    ),
    "Dialogue": _all('"What a day!" said {A}. "[I will not forget it|I want to tell everybody about it]."'),
}
EARLY = ("Foreshadowing", "Conflict")  # those that stand after the opening; the others stand after the ending

TOPICS = _all(
    "In those days everybody talked about {topic}.",
    "{His} {elder} still liked to tell about {topic}.",
    "It all had to do with {topic}.",
)
THEMES = _all(
    "What {A} thought about in bed was one thing: {theme}.",
    "Later {A} often told about this day, and about {theme}.",
)
PERSONAS = _all("This is how {persona} tells it.", "So says {persona}, and who would not believe it?")

FIRST = {
    "A": _all("All was [quiet|still] that morning.", "Another day began."),
    "B": _all("Birds were singing in the trees.", "Bright sunshine lay on the grass."),
    "C": _all("Clouds were floating over the hills.", "Cold wind came from the north."),
    "D": _all("Dark clouds were in the sky.", "Day after day, the sun came up."),
    "E": _all("Early birds were singing.", "Everything was still."),
    "F": _all("Flowers were growing along the road.", "Far away, a bell rang."),
    "G": _all("Green leaves moved in the wind.", "Gently the rain fell on the roof."),
    "H": _all("High over the trees, the sun was shining.", "Have you ever seen a morning like this?"),
    "I": _all("It was a [warm|cold|bright] day.", "In the trees, the birds were singing."),
    "J": _all("Just then, a bell rang.", "June had come, and the days were long."),
    "K": _all("Kites were flying over the field.", "Kind people lived there."),
    "L": _all("Leaves were falling from the trees.", "Light came through the window."),
    "M": _all("Morning came, and the birds were singing.", "Many leaves lay on the grass."),
    "N": _all("Nobody was on the road yet.", "Night was over, and the sun came up."),
    "O": _all("Outside, the birds were singing.", "Old trees stood along the road."),
    "P": _all("Pale light came through the window.", "People were still asleep."),
    "Q": _all("Quietly the sun came up.", "Quick little birds were in the trees."),
    "R": _all("Rain was falling on the roof.", "Red leaves lay on the grass."),
    "S": _all("Snow lay on the hills.", "Slowly the sun came up.", "Singing birds were in the trees."),
    "T": _all("The sun was shining.", "Tall trees stood along the road.", "There was a soft wind that day."),
    "U": _all("Up in the trees, the birds were singing.", "Under the trees, the grass was wet."),
    "V": _all("Very early, a bell rang.", "Voices came from the road."),
    "W": _all("Wind was in the trees.", "White clouds were in the sky.", "When the day began, it was warm."),
    "X": ("Xylophone music came from a window.",),
    "Y": _all("Yellow leaves lay on the grass.", "Yesterday it had rained."),
    "Z": ("Zigzag went the birds in the sky.",),
}
# For stories that name nobody: {A} is "the fox" there.
NAMELESS = _all(
    "Once there was {a_adj} {kind} who lived {home}.",
    "Long ago, {a_adj} {kind} lived {home}.",
    "{Home} lived {a_adj} {kind}.",
    "There was once {a_adj} {kind} who loved to {hobby}.",
    "{A_adj} {kind} who loved to {hobby} lived {home}.",
    "Far away, {home}, there lived {a_adj} {kind}.",
)


def kind_of(word: str, pos: str) -> str:
    """The key of `HABITS` and `NIGHTS` whose sentences suit the word."""
    if pos == "verb":
        for kind, verbs in {"alone": ALONE, "happen": HAPPEN, "unkind": UNKIND, "naughty": NAUGHTY}.items():
            if word in verbs:
                return kind
        return "verb"
    if pos == "adjective":
        return "alone" if word in _ALONE else "behind" if word in _BEHIND else "adjective"
    return pos if pos == "noun" else "alone"


def fields_of(word: str, pos: str, his: str) -> dict[str, str]:
    """What fills the fields of the sentences for it; {my_verb} is the verb as the hero says it."""
    words = {"word": word}
    if pos == "noun":
        words["noun"] = word if word in _BARE else f"the {word}"
    elif pos == "verb":
        words |= {"verb": phrase(word, f"{his} friends"), "my_verb": phrase(word, "my friends")}
    elif pos == "adjective":
        words |= {"adj": word, "a_adj": with_article(word)}
    return words
