"""The offline writer's own vocabulary: who the stories are about, where they live, how they open.

Words are picked so that any two that can meet in a story suit each other: heroes all walk on land and have
hands or paws, hobbies contradict no plot, places that share a group have what the plots look for there.
"""

from data_gen.offline.template import Words, capital, slot, with_article


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIRLS = _words(
    """
    Lily Mia Anna Zoe Ruby Nora Emma Sara Maya Lucy Ella Rosa Amy Kate Nina Leah Jane Lena Tara Clara
    Ivy Molly Hana Amina Priya Mei Eva June Alma Tessa
    """
)
BOYS = _words(
    """
    Tom Ben Sam Max Leo Tim Jack Noah Adam Finn Omar Luca Hugo Dan Nick Joe Eli Raj Ken Paul Theo Oscar
    Mateo Kofi Ivan Peter Will Mark Henry Jon
    """
)
SHE_ANIMALS = _words(
    """
    Dot Poppy Honey Daisy Willow Pearl Hazel Tilly Fern Clover Bella Maple Pippa Nutmeg Penny
    """
)
HE_ANIMALS = _words(
    """
    Pip Rusty Bruno Toby Milo Barney Chip Rocky Teddy Scout Sunny Cocoa Benny Otto Monty
    """
)
ANIMALS = _words(
    """
    rabbit mouse fox bear hedgehog squirrel kitten puppy otter beaver raccoon mole panda badger
    """
)

ADJECTIVES = slot(
    "adj",
    *_words("little young small cheerful kind happy friendly gentle curious clever sweet lively playful bright"),
)
ELDERS = {
    "she": slot("elder", "mom", "grandma", "aunt"),
    "he": slot("elder", "dad", "grandpa", "uncle"),
}
COLORS = slot("color", "red", "blue", "green", "yellow", "purple", "orange", "white", "pink", "brown")
HOBBIES = slot(
    "hobby",
    "sing",
    "dance",
    "hum little songs",
    "tell jokes",
    "play outside",
    "look at the clouds",
    "pick flowers",
    "listen to stories",
    "watch the birds",
    "find shiny stones",
    "roll down the hill",
    "run and jump",
    "play games",
    "smell the flowers",
)


def _homes(*homes: str) -> tuple[Words, ...]:
    return tuple({"home": home, "Home": capital(home)} for home in homes)


PEOPLE_HOMES = _homes(
    "in a small house by the river",
    "in a yellow house on a hill",
    "on a little farm",
    "in a quiet town",
    "in a village by the sea",
    "in a white house near the park",
    "in a house with a red door",
    "at the end of a long road",
    "in a house with a big garden",
    "in a town near the lake",
)
ANIMAL_HOMES = _homes(
    "in a cozy hole under an oak",
    "at the edge of the forest",
    "in a warm den near the river",
    "in a little house in the forest",
    "under the roots of an old tree",
    "in a house with a green door",
    "on the side of a grassy hill",
    "in a quiet valley",
    "near a field of tall grass",
    "in a small home by the lake",
)

_PREPOSITIONS = {
    "park": "in",
    "garden": "in",
    "forest": "in",
    "meadow": "in",
    "field": "in",
    "hill": "on",
    "lake": "by",
    "pond": "by",
    "river": "by",
    "beach": "on",
    "playground": "at",
    "market": "at",
    "old oak tree": "under",
    "farm": "on",
}
PLACES = {
    name: {"place": f"the {name}", "at": f"{preposition} the {name}"} for name, preposition in _PREPOSITIONS.items()
}
GREEN = ("park", "garden", "forest", "meadow", "field", "hill")  # bushes, grass, leaves and rocks
OPEN = (*GREEN, "lake", "beach", "old oak tree")  # room to sit and play
HOME = ("garden",)  # plots that stay at home step no further than this

_HERO_PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself", "He": "She", "His": "Her"},
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself", "He": "He", "His": "His"},
}
_FRIEND_PRONOUNS = {
    "she": {"she": "she", "her": "her", "hers": "her", "herself": "herself", "She": "She", "Hers": "Her"},
    "he": {"she": "he", "her": "him", "hers": "his", "herself": "himself", "She": "He", "Hers": "His"},
}


def _cast(kind: str, she_or_he: str, names: tuple[str, ...]) -> tuple[tuple[Words, Words], ...]:
    """Each name as a hero's words and as a friend's words."""
    person = kind in ("girl", "boy")
    hands = {"hand": "hand", "hands": "hands"} if person else {"hand": "paw", "hands": "paws"}
    return tuple(
        (
            {"A": name, "kind": kind, "a_kind": with_article(kind), **hands, **_HERO_PRONOUNS[she_or_he]},
            {
                "B": name,
                "B_kind": kind,
                "a_B_kind": with_article(kind),
                "A_B_kind": capital(with_article(kind)),
                "Bk": name if person else f"{name} the {kind}",
                **_FRIEND_PRONOUNS[she_or_he],
            },
        )
        for name in names
    )


# {people or animals: {she or he: groups of (hero's words, friend's words)}}
CAST: dict[str, dict[str, tuple[tuple[tuple[Words, Words], ...], ...]]] = {
    "people": {"she": (_cast("girl", "she", GIRLS),), "he": (_cast("boy", "he", BOYS),)},
    "animals": {
        "she": tuple(_cast(kind, "she", SHE_ANIMALS) for kind in ANIMALS),
        "he": tuple(_cast(kind, "he", HE_ANIMALS) for kind in ANIMALS),
    },
}
HOMES = {"people": PEOPLE_HOMES, "animals": ANIMAL_HOMES}

# One template, one number: its index. All are equally likely, so each opens about 2 % of the stories.
OPENINGS = (
    "Once upon a time, there was {a_adj} {kind} named {A}.",
    "Once upon a time, {a_adj} {kind} named {A} lived {home}.",
    "Once there was {a_adj} {kind} called {A}.",
    "There once was {a_adj} {kind} named {A} who lived {home}.",
    "{A} was {a_adj} {kind} who lived {home}.",
    "{A} was {a_adj} {kind} who loved to {hobby}.",
    "Long ago, {a_adj} {kind} named {A} lived {home}.",
    "A long time ago, there was {a_adj} {kind} named {A}.",
    "{Home} lived {a_adj} {kind} named {A}.",
    "{Home}, there lived {a_adj} {kind} called {A}.",
    "{A} lived {home} with {his} {elder}.",
    "{A} and {his} {elder} lived {home}.",
    "This is a story about {a_adj} {kind} named {A}.",
    "The story of {A} begins {home}, where {he} lived.",
    "Have you heard about {A}, the {adj} {kind} who lived {home}?",
    "Let me tell you about {A}, {a_adj} {kind} who loved to {hobby}.",
    "Every day, {a_adj} {kind} named {A} found time to {hobby}.",
    "Every morning, {a_adj} {kind} named {A} woke up with a smile.",
    "{A_adj} {kind} named {A} lived {home}.",
    "{A_adj} {kind} named {A} loved to {hobby}.",
    "Nobody loved to {hobby} more than {a_adj} {kind} named {A}.",
    "Not so long ago, {a_adj} {kind} named {A} lived {home}.",
    "Many years ago, there was {a_adj} {kind} called {A}.",
    "Far away, {home}, there lived {a_adj} {kind} named {A}.",
    "Not far from here, {a_adj} {kind} named {A} lived {home}.",
    "Everyone knew {A}, the {adj} {kind} who lived {home}.",
    "All the neighbors knew {a_adj} {kind} named {A}.",
    "My story is about {A}, {a_adj} {kind} who lived {home}.",
    "Here is a story about {A}, {a_adj} {kind} who loved to {hobby}.",
    "{A} was {a_kind} with a big smile.",
    "{A} was {a_adj} {kind}, and {he} lived {home}.",
    "{A} was {a_adj} {kind}, and {he} loved to {hobby}.",
    "There was {a_adj} {kind} named {A}, and everyone liked {him}.",
    "Once, {home}, there was {a_adj} {kind} named {A}.",
    "Our story begins {home}, where {a_adj} {kind} named {A} lived.",
    "This story begins with {a_adj} {kind} named {A}.",
    "{His} name was {A}, and {he} was {a_adj} {kind}.",
    "{A} and {his} family lived {home}.",
    "{A} lived {home}, and {he} loved to {hobby}.",
    "More than anything, {a_adj} {kind} named {A} loved to {hobby}.",
    "From morning to night, {a_adj} {kind} named {A} loved to {hobby}.",
    "Once, {a_adj} {kind} named {A} lived {home} with {his} {elder}.",
    "You would like {A}, {a_adj} {kind} who lived {home}.",
    "{His} friends called {him} {A}, and {he} was {a_adj} {kind}.",
    "Some time ago, {a_adj} {kind} named {A} lived {home}.",
    "There lived {a_adj} {kind} named {A} who loved to {hobby}.",
    "Back when {his} {elder} told {him} bedtime stories, {A} lived {home}.",
    "I know a story about {a_adj} {kind} called {A}.",
)

# What may follow the opening: nothing, or a line that any plot can go on from.
DETAILS = (
    "",
    "",
    "{He} had a warm heart. ",
    "{He} liked to laugh. ",
    "{He} liked to try new things. ",
    "{He} always said good morning to {his} {elder}. ",
    "{He} liked to sit in the sun. ",
)
