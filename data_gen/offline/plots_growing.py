"""Plots of the offline writer about growing: waiting, trying, daring to be seen."""

from data_gen.offline.template import Plot, Way, beat, slot
from data_gen.offline.words import GREEN, HOME

WAITING = Plot(
    name="waiting for a plant",
    places=HOME,
    slots=(
        slot(
            "seed result",
            ("sunflower", "a sunflower as tall as {his} {elder}"),
            ("pumpkin", "a pumpkin as big as a chair"),
            ("bean", "a long vine full of beans"),
            ("tomato", "a plant with ten red tomatoes"),
            ("carrot", "a row of sweet carrots"),
            ("strawberry", "a bush of sweet red strawberries"),
            ("melon", "a round green melon"),
            ("rose", "a rose that smelled sweet"),
        ),
    ),
    want=beat(
        "[One day|One morning], {his} {elder} gave {A} a small {seed} seed. {A} put it in the ground. {He} wanted it "
        "to grow [right away|fast].",
        "[One spring day|One day], {A} found {a_seed} seed. {He} wanted to grow it, so {he} dug a hole in the garden "
        "and put the seed in it.",
    ),
    obstacle=beat(
        "{He} looked at the ground the next day. Nothing was there. {He} looked again and again, but [nothing "
        "grew|all {he} saw was dirt].",
        '{He} waited one day. {He} waited two days. "[Why does it not grow|Where is my plant]?" {he} asked. {He} '
        "wanted to dig it up.",
        'But nothing came up [the next day|at first]. "This seed is no good," said {A}. {He} [kicked a stone|wanted '
        "to give up].",
    ),
    ways=(
        Way(
            beat(
                '"A seed needs water, sun, and time," said {his} {elder}. So {A} gave it water every morning. {He} '
                "[sang to it|talked to it], and {he} waited.",
                '{His} {elder} sat down next to {him}. "You cannot see it, but it is working under the ground." So '
                "{A} waited, and each day {he} gave it water.",
            ),
            beat(
                "Then one day, a tiny green leaf came up! {A} jumped for joy. By the end of summer, there was "
                "{result}.",
                '[After many days|One warm morning], {he} saw something green. "It is here!" {he} shouted. It grew '
                "and grew. In the end, {he} had {result}.",
            ),
        ),
        Way(
            beat(
                '"Wait!" said {his} friend {Bk}. "Do not dig it up. Good things take time." {B} came every day to '
                "help {him} water the ground.",
                '{His} friend {Bk} had a plan. "Let us play a game each day while we wait," said {B}. So they gave '
                "the seed some water, and then they played.",
            ),
            beat(
                "One day, they saw a green leaf. The friends danced around it. By the end of summer, there was "
                "{result}.",
                'The days went by fast. "Look!" said {B} one morning. A little plant had come up. After some weeks, '
                "there was {result}.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that good things take time.",
        "{A} was glad that {he} had waited.",
        "If you wait and take care, small things grow big.",
    ),
)

NEW_FOOD = Plot(
    name="trying a new food",
    places=HOME,
    slots=(
        slot("food", "soup", "salad", "pie", "stew", "porridge"),
        slot(
            "look with",
            ("green", "peas"),
            ("orange", "carrots"),
            ("red", "beets"),
            ("yellow", "corn"),
            ("white", "mushrooms"),
            ("brown", "beans"),
        ),
    ),
    want=beat(
        "[One evening|One night], {A} was very hungry. {He} wanted bread and jam for dinner, as always.",
        "{A} ate the same thing every day. {He} wanted only bread with honey and nothing else.",
        "It was time to eat. {A} wanted noodles, because {he} [ate them every day|loved noodles].",
    ),
    obstacle=beat(
        'But {his} {elder} had made {look} {food} with {with}. "Yuck!" said {A}. "[I do not like it|I will not eat '
        'it]."',
        'On the table stood {look} {food}. It was made with {with}. {A} had never had it before. "It looks funny," '
        "{he} said and turned away.",
    ),
    ways=(
        Way(
            beat(
                '"How do you know?" asked {his} {elder}. "You did not try it. Take one small bite." {A} closed {his} '
                "eyes and opened {his} mouth.",
                '"Just one bite," said {his} {elder}. "If you do not like it, you may stop." {A} took [the smallest '
                "bite|a tiny bite].",
            ),
            beat(
                '{He} waited. Then {he} smiled. "It is good! May I have some more?" {A} ate it all, and {his} {elder} '
                "laughed.",
                "It was so good! {A} took another bite, and then another. Soon there was no more {food}.",
            ),
        ),
        Way(
            beat(
                '{His} friend {Bk} had come to dinner. {B} ate a lot of it. "{Food} with {with} is the best," {she} '
                "said. {A} looked at {B}, and then {he} tried [a bit|a tiny bit].",
                'Then {his} friend {Bk} sat down next to {him}. "Let us try it at the same time," said {B}. "One, '
                'two, three!" They both took a bite.',
            ),
            beat(
                '"It is yummy!" said {A}. The two friends ate until it was all gone.',
                '{A} was [surprised|amazed]. It was very good! "Can we have this again tomorrow?" {he} asked, and '
                "everyone laughed.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that it is good to try new things.",
        "You never know what you like until you try.",
        "Now {A} always takes one bite of a new food.",
    ),
)

SHOW = Plot(
    name="fear of the show",
    places=GREEN,
    slots=(
        slot(
            "act past",
            ("sing a song", "sang {his} song"),
            ("dance", "danced"),
            ("play the drum", "played the drum"),
            ("play the flute", "played the flute"),
            ("tell a funny story", "told {his} funny story"),
            ("read a poem", "read {his} poem"),
            ("do a magic trick", "did {his} magic trick"),
        ),
    ),
    want=beat(
        "One day, there was a big show {at}. {A} wanted to {act} [for everyone|in front of everyone].",
        "[One day|One evening], there was a show {at}. {A} had worked hard for weeks, because {he} wanted to {act}.",
    ),
    obstacle=beat(
        "But when {he} saw all the faces, {his} legs began to shake. [{He} could not go on.|{He} wanted to hide.]",
        'Then it was {his} turn, and {A} felt sick. [So many eyes looked at {him}.|Everyone was looking.] "I cannot '
        'do it," {he} said.',
        "{A} stood behind the curtain and looked out. There were so many [guests|faces]! {His} heart beat fast.",
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} took {his} {hand}. "Look only at me," said {B}. "I will sit in front and smile." '
                "{A} took a deep breath.",
                '"I was afraid too," said {his} friend {Bk}, who had gone first. "Close your eyes and think that we '
                'are at home." {A} did so, and {he} felt better.',
            ),
            beat(
                "{He} looked only at {B} and {past}. When it was over, everyone clapped. {B} clapped the loudest.",
                "Then {he} walked out and {past}. It went very well! Everyone cheered, and {A} and {B} [jumped for "
                "joy|took a bow together].",
            ),
        ),
        Way(
            beat(
                '"Being scared is fine," said {his} {elder}. "Take three deep breaths and do it just for me." One, '
                "two, three. {A} walked out.",
                '{His} {elder} came and gave {him} a hug. "You do not have to be perfect," said {his} {elder}. "Just '
                'have fun." {A} stood up tall.',
            ),
            beat(
                "At first, {he} was very quiet. But then {he} {past}, and it was fun! Everyone clapped.",
                'So {he} {past}, and everyone liked it. "Again, again!" they shouted. {A} had a big smile on {his} '
                "face.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that you can be scared and brave at the same time.",
        "{A} was very proud that day.",
        "It is easier to be brave when someone believes in you.",
    ),
)

LEARNING = Plot(
    name="trying hard",
    places=("park", "meadow", "hill", "field"),
    slots=(
        slot(
            "skill fail tip success",
            ("whistle", "Only air came out", "Make your mouth small and round", "a clear whistle came out"),
            ("jump rope", "The rope hit {his} feet each time", "Listen to the rope", "{he} jumped ten times"),
            (
                "catch a ball",
                "The ball hit the ground each time",
                "Keep your eyes on the ball",
                "the ball landed in {his} {hands}",
            ),
            (
                "ride a bike",
                "The bike tipped over in the grass",
                "Look ahead and not at your feet",
                "{he} rode all the way to the gate",
            ),
            (
                "skate",
                "{He} fell on the ground with a bump",
                "Bend your knees a little",
                "{he} went around in a big circle",
            ),
            (
                "stand on one leg",
                "{He} tipped over each time",
                "Look at one spot and stay still",
                "{he} stood as still as a tree",
            ),
            (
                "climb the big tree",
                "{He} slid back down each time",
                "Hold on with both {hands}",
                "{he} sat on the first branch and waved",
            ),
            (
                "walk on a log",
                "{He} fell off into the leaves",
                "Hold your arms out wide",
                "{he} walked from one end to the other",
            ),
        ),
    ),
    want=beat(
        "[One day|One morning], {A} saw {his} {elder} {skill}. {He} wanted to learn it too, so {he} went to {place} "
        "to try.",
        "All {his} friends could {skill}. {A} wanted to {skill} too. [One day|One morning], {he} tried it {at}.",
        '"[Today|Now] I will learn to {skill}!" said {A}. {He} ran to {place} and began.',
    ),
    obstacle=beat(
        '{fail}. {A} tried five times, and it did not work. "It is too hard," {he} said.',
        "But it was not easy. {fail}. {A} felt [hot and mad|sad and tired].",
        '{fail}. "[I will never learn it|I cannot do it]," said {A}, and {he} sat down on a stone.',
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} sat down next to {him}. "I could not do it at first," said {B}. "{tip}. That is '
                'how I learned." {A} stood up to try again.',
                '"{tip}," said {his} friend {Bk}. "I will stay with you." They tried it {at} every day for a week.',
            ),
            beat(
                'Then it happened. This time, {success}! "You did it!" shouted {B}.',
                "{A} tried once more, and {success}. {B} clapped, and {A} laughed out loud.",
            ),
        ),
        Way(
            beat(
                '{A} wanted to go home. But {he} remembered the words of {his} {elder}. "{tip}." So {he} tried [one '
                "more time|again].",
                '"Try a little every day," said {his} {elder}. "{tip}." So {A} came back the next day, and the day '
                "after that.",
            ),
            beat(
                'At last, {success}. "Look at me!" {he} called. {His} {elder} [clapped|cheered] for {him}.',
                "And then, {success}! {A} was so happy that {he} did it again and again.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that you get better when you try every day.",
        "Hard things get easy if you do not give up.",
        "That night, {A} went to bed tired and proud.",
    ),
)

GROWING = (WAITING, NEW_FOOD, SHOW, LEARNING)
