"""Plots of the offline writer about being brave and honest."""

from data_gen.offline.template import Plot, Way, beat, slot
from data_gen.offline.words import HOME

NIGHT = Plot(
    name="sound in the night",
    places=HOME,
    slots=(
        slot(
            "sound cause",
            ("Tap, tap, tap", "a branch that touched the window"),
            ("Whoo, whoo", "the wind that blew under the door"),
            ("Drip, drip, drip", "the rain that fell into a bucket"),
            ("Bump, bump, bump", "the gate that moved in the wind"),
            ("Scratch, scratch", "a dry leaf that danced on the step"),
            ("Creak, creak", "the old chair that rocked in the wind"),
            ("Squeak, squeak", "the swing that moved in the wind"),
            ("Hoot, hoot", "an owl that sang in the tree"),
        ),
        slot("light", "lamp", "candle", "small light", "lantern"),
    ),
    want=beat(
        "[One night|One dark night], {A} lay in bed. {He} was very [tired|sleepy] and wanted to dream.",
        "[One night|One cold night], {A} got into {his} warm bed. {He} closed {his} eyes and wanted to sleep.",
        "It was late, and the moon was in the sky. {A} wanted to go to sleep.",
    ),
    obstacle=beat(
        'Then {he} heard a sound. "{sound}!" it went. {A} pulled the blanket over {his} head. [What could it be?|Was '
        "it a monster?]",
        '"{sound}!" came a sound from the dark. {A} sat up. {He} was so scared that {he} could not [move|sleep].',
        'But something went, "{sound}!" {A} [held {his} pillow tight|hid under the blanket]. {He} did not like the '
        "dark at all.",
    ),
    ways=(
        Way(
            beat(
                '{A} called {his} {elder}. "There is something out there," {he} said. {His} {elder} took a {light}. '
                '"Come, let us look together." They [opened the door|went to look], and there they saw {cause}.',
                '{His} {elder} came in with {a_light}. "[What is wrong|Why are you still awake]?" "I hear a monster," '
                "said {A}. They looked [outside|out] together. It was only {cause}.",
            ),
            beat(
                '"Is that all?" said {A}, and {he} began to laugh. {His} {elder} gave {him} a kiss. Soon {A} was '
                "[fast asleep|sleeping].",
                "They both laughed. {A} went back to bed, and now the sound was like a [song|little song]. {He} slept "
                "until morning.",
            ),
        ),
        Way(
            beat(
                '"I must be brave," {he} said to {himself}. {He} got up and took {a_light}. [Step by step|Very '
                "slowly], {he} walked to the door and looked out. It was only {cause}.",
                "{A} counted to three and got out of bed. {He} held up {a_light} and looked outside. There was no "
                "monster. It was just {cause}.",
            ),
            beat(
                '"[Silly me|You do not scare me]," said {A} with a smile. {He} went back to bed and slept well.',
                '{A} laughed at {himself}. In the morning, {he} told {his} {elder} all about it. "You were very '
                'brave," said {his} {elder}.',
            ),
        ),
    ),
    moral=beat(
        "{A} learned that things are not so scary when you look at them.",
        "After that night, {A} was not afraid of the dark.",
        "Being brave means to look even when you are scared.",
    ),
)

MISTAKE = Plot(
    name="a mistake",
    places=HOME,
    slots=(
        slot("broken", "vase", "bowl", "cup", "plate", "lamp", "teapot", "flower pot", "picture frame", "jar"),
        slot(
            "play how",
            ("play with {his} ball inside", "The ball flew across the room"),
            ("dance in the kitchen", "{He} turned around too fast"),
            ("run through the house", "{He} could not stop in time"),
            ("play with {his} kite inside", "The string pulled on the table"),
            ("jump on the bed", "{He} jumped too far"),
            ("swing {his} jump rope inside", "The rope flew out of {his} {hands}"),
        ),
    ),
    want=beat(
        "[One day|One rainy day], {A} wanted to {play}.",
        "[One day|One afternoon], {A} was alone in the house. {He} wanted to {play}.",
        '"Please be careful in the house," said {his} {elder}. But {A} wanted to {play}.',
    ),
    obstacle=beat(
        "{how}. Crash! The best {broken} in the house fell down and broke. {A} [was scared|felt cold inside]. {He} "
        "hid the pieces [under the bed|in a box].",
        '{how}. The {broken} fell to the floor with a crash. It was a very old {broken}! "Oh, no," said {A}. {He} '
        "wanted to run away.",
        '{how}. Down fell the {broken}, and it broke. "What was that noise?" called {his} {elder}. "[I do not know|It '
        'was the wind]," said {A}, but {his} face was red.',
    ),
    ways=(
        Way(
            beat(
                'At dinner, {A} could not eat. {His} tummy felt bad. "[I have to tell you something|I did something '
                'bad]," {he} said at last. "I broke the {broken}. I am sorry."',
                "{A} sat in {his} room, but {he} could not play. {He} felt worse and worse. At last, {he} went to "
                '{his} {elder}. "I broke the {broken}," {he} said. "I am [so|very] sorry."',
                '{A} thought about it for a [long|very long] time. Then {he} went to {his} {elder}. "It was me," {he} '
                'said. "I broke the {broken}, and I am sorry."',
            ),
            beat(
                '{His} {elder} was [quiet|still] for a moment. "Thank you for telling the truth," said {his} {elder}. '
                "Then they cleaned up the floor together.",
                '{His} {elder} gave {him} a hug. "{A_broken} is just a thing. I am glad that you told me." Together '
                "they put the pieces back with glue.",
                '"I was a little sad," said {his} {elder}, "but I am proud that you told me." {A} felt light and '
                "happy again.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that it is best to tell the truth.",
        "Everyone makes mistakes, and it is good to say sorry.",
        "After that, {A} played only outside.",
    ),
)

LOST_WAY = Plot(
    name="lost on the way",
    places=("forest", "market", "park", "beach"),
    slots=(
        slot(
            "followed",
            "white butterfly",
            "yellow bird",
            "blue dragonfly",
            "big red balloon",
            "little gray cat",
        ),
        slot(
            "elder_call",
            "sang a song that they both knew",
            "called out as loud as {he} could",
            "rang the little bell on {his} bag",
            "blew a loud tune on {his} whistle",
            "clapped {his} {hands} again and again",
        ),
    ),
    want=beat(
        "[One day|One morning], {A} went to {place} with {his} {elder}. There {he} saw {a_followed} and wanted to "
        "follow it.",
        '[One day|One afternoon], {A} and {his} {elder} were {at}. "Stay close to me," said {his} {elder}. But {A} '
        "saw {a_followed} and wanted to see where it went.",
    ),
    obstacle=beat(
        "{He} went this way and that way. Then the {followed} was gone. {A} looked around, and {his} {elder} was not "
        "there. {He} was lost!",
        "{He} ran after it for a long time. When {he} stopped, {he} did not know [the way back|where {he} was]. "
        '"[Where are you|Can you hear me]?" {he} cried. Nobody answered.',
        "Step by step, {he} went farther away. Soon {A} could not see {his} {elder}. {He} began to [cry|shake].",
    ),
    ways=(
        Way(
            beat(
                'Then {A} remembered what {his} {elder} always said. "If you are lost, stay in one place." So {he} '
                "sat down and waited. Then {he} {elder_call}.",
                "{A} took a deep breath. [Running would not help.|It was best to stay in one place.] {He} stood still "
                "and {elder_call}.",
            ),
            beat(
                'Soon {he} heard a voice. "{A}! There you are!" {His} {elder} held {him} tight. Together they '
                "[walked|went] home.",
                '{His} {elder} heard it and came [running|at once]. "I am so glad I found you!" said {his} {elder}. '
                '"I will stay close now," said {A}.',
            ),
        ),
        Way(
            beat(
                'Just then, {a_B_kind} named {B} came by. "[Are you lost|Why are you crying]?" {she} asked. "I know '
                'every path here. Take my {hand}." {A} was not so scared now.',
                '"Can I help you?" said a voice. It was {a_B_kind} named {B}. "I saw someone who was looking for you. '
                'Come with me," said {B}.',
            ),
            beat(
                'They walked side by side. Soon {A} saw {his} {elder} and ran into a big hug. "Thank you, {B}!" said '
                "{A}.",
                "{B} led {him} back to {his} {elder}. They all [laughed|smiled], and {B} came home with them for "
                "[cake|soup and bread].",
            ),
        ),
    ),
    moral=beat(
        "{A} learned to stay close to {his} {elder}.",
        "After that, {A} always told {his} {elder} where {he} was going.",
        "It is good to stay calm when you are lost.",
    ),
)

COURAGE = (NIGHT, MISTAKE, LOST_WAY)
