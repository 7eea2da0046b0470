"""Plots of the offline writer about friends: finding one, being fair to one."""

from data_gen.offline.template import Plot, Way, beat, slot
from data_gen.offline.words import GREEN

NEW_FRIEND = Plot(
    name="new friend",
    places=("park", "playground", "meadow", "beach", "hill", "field"),
    slots=(
        slot(
            "toy game",
            ("ball", "roll the ball to each other"),
            ("rope", "take turns jumping over the rope"),
            ("kite", "run with the kite in the wind"),
            ("drum", "make a song with the drum"),
            ("hoop", "roll the hoop along the path"),
            ("box of chalk", "draw big suns and stars on the stones"),
            ("bucket", "fill the bucket and build a tower"),
            ("toy boat", "dig a little river for the boat"),
        ),
    ),
    want=beat(
        "[One day|One morning], {A} went to {place} with {a_toy}. {He} wanted [someone|a friend] to play with.",
        "{A} had {a_toy}, but {he} had no one to play with. [One day|One afternoon], {he} took it to {place} to look "
        "for a friend.",
        "[One sunny day|One day], {A} played alone {at} with {a_toy}. It was not much fun. {He} wished for a friend.",
    ),
    obstacle=beat(
        "There {he} saw {a_B_kind} [sitting all alone|under a tree]. {A} wanted to say hello, but {he} felt shy. "
        "[What if nobody wanted to play?|The words would not come out.]",
        "{A_B_kind} stood by the path and looked at {him}. {A} felt too shy to speak. {He} looked at {his} feet.",
        "Not far away sat {a_B_kind}, who looked [sad|lonely]. {A} took one step and then stopped. {He} did not know "
        "what to say.",
    ),
    ways=(
        Way(
            beat(
                'Then {A} [walked over|went over]. "Hello, I am {A}," {he} said. "[Do you want to play with me|Would '
                'you like to play]?" The {B_kind} smiled. "Yes! My name is {B}, and I am new here."',
                '{A} thought, maybe the {B_kind} feels shy too. So {he} held out the {toy}. "You can play with it," '
                '{he} said. "[Thank you|How nice]," said the {B_kind}. "My name is {B}."',
                '{A} tried to be brave. {He} waved, and the {B_kind} waved back. "I am {B}," said the {B_kind}. '
                '"[What a nice {toy}|I like your {toy}]!" "We can share it," said {A}.',
            ),
            beat(
                'They began to {game}. They [laughed and laughed|played until the sun went down]. "See you tomorrow," '
                "said {B}.",
                "So they began to {game}. It was much more fun with two. [Soon|By the end of the day], {A} and {B} "
                "were good friends.",
                "{B} had a good idea. They could {game}! When it was time to go home, {A} was happy. {He} had a new "
                "friend.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that one small hello can make a friend.",
        "Sometimes a friend is only one hello away.",
        "{A} was glad that {he} had been brave enough to say hello.",
    ),
)

RETURNING = Plot(
    name="finding something",
    places=(*GREEN, "beach", "lake", "old oak tree"),
    slots=(
        slot("color", "red", "blue", "green", "yellow", "purple", "orange", "white", "pink", "brown"),
        slot("thing", "hat", "bag", "toy car", "umbrella", "doll", "ball", "book", "scarf", "toy train", "cup"),
    ),
    want=beat(
        "[One day|One morning|One afternoon], {A} found {a_color} {thing} {at}. It was [so pretty|very nice]! {He} "
        "wanted to keep it.",
        '[One day|One afternoon], {A} was walking {at}. On the ground lay {a_color} {thing}. "[I want to keep '
        'this|Now it is mine]!" {he} said.',
        "{A} had always wanted {a_color} {thing}. [One day|One morning], {he} saw one lying {at}. {He} picked it up "
        "and [smiled|looked around].",
    ),
    obstacle=beat(
        "Then {he} saw {a_B_kind} who was crying. {Hers} name was {B}. {She} looked here and there, but {she} could "
        "not find {hers} {thing}.",
        'Then {he} met {Bk}, who looked very sad. "I lost my {thing}," said {B}. "[It is {color}|My {elder} made it '
        'for me]. Have you seen it?"',
    ),
    ways=(
        Way(
            beat(
                '{A} held the {thing} behind {his} back. It was so nice. But it belonged to someone else. "[I found '
                'it|Here it is]," {he} said at last, and {he} gave it to {B}.',
                '{A} felt a [hard|heavy] lump inside. How would {he} feel if {he} lost {his} best thing? "Do not '
                'cry," said {A}. "I found your {thing}." {He} put it in front of {B}.',
            ),
            beat(
                '"Oh, thank you!" said {B}. "[You are so kind|You told the truth]. Do you want to play with me?" They '
                "played {at} all day.",
                "{B} jumped for joy. {She} gave {A} a [big|warm] hug, and they became good friends. {A} did not need "
                "the {thing} now. {He} had a friend.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that it feels good to do the right thing.",
        "A friend is better than any {thing}.",
        "{A} knew that {he} had done the right thing.",
    ),
)

QUARREL = Plot(
    name="taking turns",
    places=("park", "playground", "garden"),
    slots=(
        slot(
            "toy use",
            ("swing", "go up high on the swing"),
            ("slide", "go down the slide"),
            ("red wagon", "ride in the red wagon"),
            ("blue bike", "ride the blue bike"),
            ("big drum", "play the big drum"),
            ("rocking horse", "ride the rocking horse"),
            ("shovel", "dig with the shovel"),
            ("scooter", "ride the scooter"),
        ),
    ),
    want=beat(
        "[One day|One afternoon], {A} went to {place}. {He} wanted to {use}.",
        "[One day|One sunny morning], {A} ran to {place}. There was one {toy}, and {he} wanted to {use}.",
        "{A} liked the {toy} {at} best of all. One day, {he} wanted to {use}.",
    ),
    obstacle=beat(
        'But {his} friend {Bk} wanted it too. "I was here first!" said {A}. "No, I was!" said {B}. They both [got '
        "mad|began to shout].",
        'At the same time, {his} friend {Bk} ran to the {toy}. "It is my turn!" said {B}. "No, it is mine!" said {A}. '
        "Nobody wanted to wait.",
        'Then {his} friend {Bk} came. "I want to {use}," said {B}. "You cannot," said {A}. {B} [began to cry|turned '
        "away].",
    ),
    ways=(
        Way(
            beat(
                '{His} {elder} heard the noise. "You can take turns," said {his} {elder}. "Count to twenty, and then '
                'change." {A} and {B} looked at each other. They both said sorry.',
                'For a while, nobody played, and nobody was happy. Then {A} had an idea. "[Let us take turns|We can '
                'take turns]," {he} said. "You can go first." "Thank you," said {B}.',
                'Then {A} stopped. {He} did not want to lose a friend over {a_toy}. "I am sorry," {he} said. "You go '
                'first, and [I will count|I will wait]." {B} was glad.',
            ),
            beat(
                "First {B} had a turn. Then {A} had a turn. They [laughed|played] until it was time to go home.",
                "{B} went first, and {A} waited. Then they changed places. It was [even more fun|much better] with a "
                "friend.",
                "They took turns all afternoon. In the end, they were both [happy and tired|happy].",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that taking turns is fair.",
        "When friends take turns, everyone has fun.",
        "After that, the two friends did not fight over the {toy} again.",
    ),
)

FRIENDS = (NEW_FRIEND, RETURNING, QUARREL)
