"""Sentences around any noun, verb or adjective of the word list, for stories of the offline writer.

Fields are those of `template`: {A} the hero, {he}, {him}, {his}; besides, {noun} with its article, {verb} with what it
needs, {adj}, and {word}, the bare word. Sentences of `HABITS` stand after a story's opening, those of `NIGHTS` after
its ending.
"""

from data_gen.offline.template import readings, with_article
from data_gen.offline.verbs import ALONE, HAPPEN, NAUGHTY, UNKIND, phrase


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nouns that stand without an article.
_BARE = _words("bedtime courage friendship kindergarten kindness nature preschool today tomorrow yesterday")
# Adjectives that stand behind a verb, never before a noun.
_BEHIND = _words("""afraid alike alive alone apart ashamed asleep awake aware back barefoot done downstairs gone glad ill
    inside near outside pleased sorry sure thrilled together unable upstairs well able stuck""")
# Those that only "the" goes with, or that no creature can be.
_ALONE = _words(
    "best double early even first final extra last late left next only opposite other right same second single"
    " triple top upper worst usual possible impossible worse better"
)

HABITS = {
    "noun": readings(
        "{He} had a song about {noun} and sang it [every day|all the time].",
        "{He} liked to think about {noun} [before breakfast|in bed].",
        "On {his} wall there was a picture of {noun}.",
        "{His} {elder} had told {him} [many things|a lot] about {noun}.",
        "The story that {he} liked best was the one about {noun}.",
        "{He} had once drawn a picture of {noun}, and it was [on the kitchen door|over {his} bed].",
        "{He} could talk about {noun} [all day long|for hours].",
    ),
    "verb": readings(
        "{He} liked to {verb} [before breakfast|after lunch|in the morning].",
        "Some days {he} wanted to {verb}, and some days {he} only wanted to sleep.",
        "{He} could {verb} [all day long|for hours].",
        "{His} {elder} had shown {him} how to {verb}.",
        '"May I {my_verb} now?" {he} often asked {his} {elder}.',
        "Now and then {he} would {verb} [for a while|just for fun].",
    ),
    "adjective": readings(
        "In {his} [picture book|favorite book] there was {a_adj} [dragon|giant|king|monster] that {he} liked best.",
        "{He} had a song about {a_adj} [bear|dragon|mouse|queen].",
        "At bedtime {his} {elder} told {him} about {a_adj} [giant|pirate|witch|wolf].",
        "On {his} wall there was a picture of {a_adj} [cow|elephant|king|bird].",
    ),
    "behind": readings(
        "{He} once had a dream in which everybody was {word}.",
        "In {his} picture book there was a page where all the [bears|mice|dragons] were {word}.",
    ),
    "happen": readings(
        "{He} liked to watch things {word}.",
        "{He} always wanted to know [what makes things|why some things] {word}.",
    ),
    "unkind": readings('"It is not nice to {word} others," {his} {elder} [often said|liked to say].'),
    "naughty": readings('"It is not nice to {word}," {his} {elder} [often said|liked to say].'),
    "alone": readings(
        'That week {he} had learned the word "{word}".',
        'There was one word that {he} liked to say all day, and that was "{word}".',
        '{He} could write "{word}" all by {himself}.',
    ),
}
NIGHTS = {
    "noun": readings(
        "That night, {A} dreamed of {noun}.",
        '"[Tomorrow|One day] I will tell you about {noun}," said {A}.',
        "At bedtime, {A} sang a little song about {noun}.",
    ),
    "verb": readings(
        'Then {A} said, "[Tomorrow|Next time] I want to {my_verb}!"',
        "That evening, {A} was too tired to {verb}.",
    ),
    "adjective": readings(
        "That night, {A} dreamed of {a_adj} [dragon|giant|king|cow].",
        'At bedtime, {A} asked for the story of {a_adj} [bear|mouse|queen|wolf].',
    ),
    "behind": readings("That night, {A} dreamed that everybody was {word}."),
    "happen": readings("That night, {A} dreamed of watching things {word}."),
}  # fmt: skip

FEATURES = {
    "Foreshadowing": readings(
        '"Today you will find out something new," {his} {elder} had said that morning, and that was true.',
        "That morning a little bird had sung outside the window, as if it knew what was to come.",
    ),
    "Conflict": readings(
        "At breakfast {A} wanted to [go out|stay up late], but {his} {elder} said no, and for a while they did not talk.",
        "{His} {elder} wanted a quiet day, but {A} wanted a loud one, and so they [argued|did not agree].",
    ),
    "Twist": readings(
        "And then came a surprise: it was {A}'s birthday, and nobody had said a word all day!",
        "But what was that? Behind the door stood {his} {elder}, who had [watched|seen] it all and had not said a word.",
    ),
    "BadEnding": readings(
        "But on the way home {A} fell into the mud and lost {his} new hat. {He} never found it again.",
        "But that night a storm came and [broke|took] what {A} loved most, and {A} went to bed sad.",
    ),
    "Dialogue": readings('"What a day!" said {A}. "[I will not forget it|I want to tell everybody about it]."'),
}
EARLY = ("Foreshadowing", "Conflict")  # those that stand after the opening; the others stand after the ending

TOPICS = readings(
    "In those days everybody talked about {topic}.",
    "{His} {elder} still liked to tell about {topic}.",
    "It all had to do with {topic}.",
)
THEMES = readings(
    "What {A} thought about in bed was one thing: {theme}.",
    "Later {A} often told about this day, and about {theme}.",
)
PERSONAS = readings("This is how {persona} tells it.", "So says {persona}, and who would not believe it?")

FIRST = {
    "A": readings("All was [quiet|still] that morning.", "Another day began."),
    "B": readings("Birds were singing in the trees.", "Bright sunshine lay on the grass."),
    "C": readings("Clouds were floating over the hills.", "Cold wind came from the north."),
    "D": readings("Dark clouds were in the sky.", "Day after day, the sun came up."),
    "E": readings("Early birds were singing.", "Everything was still."),
    "F": readings("Flowers were growing along the road.", "Far away, a bell rang."),
    "G": readings("Green leaves moved in the wind.", "Gently the rain fell on the roof."),
    "H": readings("High over the trees, the sun was shining.", "Have you ever seen a morning like this?"),
    "I": readings("It was a [warm|cold|bright] day.", "In the trees, the birds were singing."),
    "J": readings("Just then, a bell rang.", "June had come, and the days were long."),
    "K": readings("Kites were flying over the field.", "Kind people lived there."),
    "L": readings("Leaves were falling from the trees.", "Light came through the window."),
    "M": readings("Morning came, and the birds were singing.", "Many leaves lay on the grass."),
    "N": readings("Nobody was on the road yet.", "Night was over, and the sun came up."),
    "O": readings("Outside, the birds were singing.", "Old trees stood along the road."),
    "P": readings("Pale light came through the window.", "People were still asleep."),
    "Q": readings("Quietly the sun came up.", "Quick little birds were in the trees."),
    "R": readings("Rain was falling on the roof.", "Red leaves lay on the grass."),
    "S": readings("Snow lay on the hills.", "Slowly the sun came up.", "Singing birds were in the trees."),
    "T": readings("The sun was shining.", "Tall trees stood along the road.", "There was a soft wind that day."),
    "U": readings("Up in the trees, the birds were singing.", "Under the trees, the grass was wet."),
    "V": readings("Very early, a bell rang.", "Voices came from the road."),
    "W": readings("Wind was in the trees.", "White clouds were in the sky.", "When the day began, it was warm."),
    "X": ("Xylophone music came from a window.",),
    "Y": readings("Yellow leaves lay on the grass.", "Yesterday it had rained."),
    "Z": ("Zigzag went the birds in the sky.",),
}
# For stories that name nobody: {A} is "the fox" there.
NAMELESS = readings(
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
