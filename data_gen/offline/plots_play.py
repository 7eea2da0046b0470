"""Plots of the offline writer about a day of play or work that does not go as planned."""

from data_gen.offline.template import Plot, Way, beat, slot

RAIN = Plot(
    name="a rainy day",
    places=("park", "beach", "playground", "forest", "lake", "meadow", "hill"),
    slots=(
        slot(
            "outside",
            "have a picnic",
            "fly a kite",
            "play ball",
            "play with a hoop",
            "play tag",
            "go for a walk",
        ),
        slot(
            "inside did",
            ("make a house out of pillows", "built walls out of pillows and hid inside"),
            ("bake cookies", "baked cookies that looked like stars"),
            ("put on a puppet show", "made puppets out of old socks"),
            ("play hide and seek", "hid behind doors and under beds"),
            ("paint pictures", "painted the biggest sun they could"),
            ("go on a trip in a box", "sat in a big box and went to the moon"),
            ("make music", "hit pots and pans with spoons"),
            ("have an indoor picnic", "put a blanket on the floor and ate bread and jam"),
        ),
    ),
    want=beat(
        "[One day|One morning], {A} wanted to go to {place} to {outside}. {He} put on {his} shoes and ran to the door.",
        '"Today I want to {outside}!" said {A} [one day|one morning]. {He} could not wait to go to {place}.',
        "All week, {A} had waited for this day. {He} wanted to {outside} {at}.",
    ),
    obstacle=beat(
        "But when {he} opened the door, it [began to rain|was raining hard]. {A} looked at the dark clouds and felt "
        "sad.",
        'Then came the rain. Drip, drop, drip, drop. "[Go away, rain|Oh, no]!" said {A}. But the rain did not stop.',
        "Then {he} heard a loud boom. Rain fell from the sky, and there was water all over. {A} [sat by the window "
        "and sighed|had to stay inside].",
    ),
    ways=(
        Way(
            beat(
                'Knock, knock! It was {his} friend {Bk}, as wet as a fish. "We can {inside}!" said {B}. So they {did}.',
                'Just then, {his} friend {Bk} came with a big umbrella. "The rain cannot stop us," said {B}. "Let us '
                '{inside}." And they {did}.',
            ),
            beat(
                "They laughed so much that they did not hear the rain. When they looked out, there was a rainbow.",
                'At the end of the day, the sun came out. "I want to stay here and play some more," said {A}, and {B} '
                "laughed.",
            ),
        ),
        Way(
            beat(
                '"I have an idea," said {his} {elder}. "We can {inside}." {A} [smiled|jumped up]. Soon {he} and {his} '
                "{elder} {did}.",
                '{His} {elder} sat down next to {him}. "Do you want to {inside}?" "[Yes, please|Oh, yes]!" said {A}. '
                "So they {did}.",
            ),
            beat(
                "It was so much fun that {A} forgot the rain. Then the sun came out, and they saw a rainbow.",
                '"I hope it rains tomorrow too!" said {A}. {His} {elder} laughed and gave {him} a hug.',
            ),
        ),
    ),
    moral=beat(
        "{A} learned that a rainy day can be a good day.",
        "You can have fun in any weather.",
        "It was the best rainy day ever.",
    ),
)

RACE = Plot(
    name="a race",
    places=("park", "field", "meadow", "beach", "hill"),
    slots=(
        slot("prize", "gold cup", "big cake", "blue ribbon", "shiny medal", "basket of fruit", "jar of honey"),
        slot(
            "accident help",
            ("fell over a stone", "helped {B} to get up"),
            ("slipped in the mud", "pulled {B} out of the mud"),
            ("hurt {hers} foot", "put an arm around {B}"),
            ("got stuck in a bush", "held the branches back for {B}"),
            ("lost a shoe", "went back and found the shoe"),
        ),
    ),
    want=beat(
        "[One day|One sunny day], there was a race {at}. The winner would get {a_prize}. {A} wanted to win it.",
        "{A} could run very fast. [One day|One morning], {he} went to {place} for the big race. {He} wanted to win "
        "the {prize}.",
        '"Today I will win the race!" said {A}. The race was {at}, and the prize was {a_prize}.',
    ),
    obstacle=beat(
        '"One, two, three, go!" {A} ran as fast as {he} could. Soon {he} was in front. But behind {him}, {his} friend '
        "{Bk} {accident}.",
        "Everyone began to run. {A} and {his} friend {Bk} were in front. Then {B} {accident} and [cried out|called "
        "for help].",
        'The race began. {A} was first, and {his} friend {Bk} was next. "Help!" cried {B}, who {accident}.',
    ),
    ways=(
        Way(
            beat(
                '{A} looked at the end of the path. It was so near! But {he} [turned around|ran back to {B}]. "[Are '
                'you hurt|Are you all right]?" {he} asked. Then {he} {help}.',
                '{A} stopped. {He} wanted to win, but {he} wanted to help {B} more. "I am here," said {A}, and {he} '
                "{help}.",
            ),
            beat(
                'Side by side, they came in last. Everyone clapped for them. {B} gave {A} a hug and said, "[You are '
                'the best friend|You are my hero]."',
                "They walked to the end of the path together. Someone else won the {prize}, but {A} did not mind. "
                '"[Thank you|You came back for me]," said {B}.',
                'The winner had seen it all. "You should have this too," said the winner, and they all shared the '
                "{prize}.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that a friend is better than a prize.",
        "Helping a friend is a way to win.",
        "That day, {A} was happy to be last.",
    ),
)

TOO_HIGH = Plot(
    name="out of reach",
    places=("garden", "park", "meadow", "farm"),
    slots=(
        slot("fruit", "apple", "pear", "plum", "peach", "orange"),
        slot(
            "try_it result",
            ("jumped as high as {he} could", "{he} could not reach it"),
            ("threw a small stick at it", "the stick got stuck in the leaves"),
            ("shook the tree", "nothing fell down"),
            ("tried to climb the tree", "{he} slid back down"),
            ("stood on a rock", "it was still too high"),
            ("stood on an old box", "the box was too low"),
        ),
    ),
    want=beat(
        "[One day|One afternoon], {A} saw a big {fruit} on a tree {at}. It looked sweet, and {he} wanted to eat it.",
        "There was a tall {fruit} tree {at}. [One day|One morning], {A} saw one last {fruit} at the top. {He} wanted "
        "it very much.",
        "[One day|One sunny day], {A} was hungry. {He} walked to {place}, where {he} saw {a_fruit} high up in a tree.",
    ),
    obstacle=beat(
        '{He} {try_it}, but {result}. {He} tried again and again. "[It is too high|I am too small]!" said {A}.',
        "The {fruit} was too high. {A} {try_it}, but {result}. {He} [sat down under the tree|felt sad].",
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} came by. "I cannot reach it alone, and you cannot reach it alone," said {B}. "But '
                'you can stand on my back!" So {A} [climbed up|did].',
                '"What are you looking at?" asked {his} friend {Bk}. {A} showed {her} the {fruit}. "Let us work '
                'together," said {B}. {B} held {him} up as high as {she} could.',
            ),
            beat(
                'Now {A} could reach the {fruit}. "I have it!" {he} shouted. They sat in the grass and ate it '
                "together.",
                "{A} picked the {fruit} and gave half of it to {B}. It was [sweet and good|so sweet].",
            ),
        ),
        Way(
            beat(
                '{A} did not give up. {He} asked {his} {elder}, "How can I get it?" {His} {elder} came with a long '
                "pole and a net. {A} held the pole [with both {hands}|very still].",
                '{A} sat and thought. Then {he} ran home to {his} {elder}. "May I use the ladder?" {he} asked. "Yes, '
                'and I will hold it for you," said {his} {elder}.',
            ),
            beat(
                'At last, {he} had the {fruit}! "We did it," said {A}. {He} cut it in two and gave {his} {elder} half.',
                "Soon the {fruit} was in {his} {hands}. {He} shared it with {his} {elder}, and it was very sweet.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that two can do more than one.",
        "It is easier when you work together.",
        "There is always a way if you stop and think.",
    ),
)

CHORE = Plot(
    name="work before play",
    places=("park", "playground", "beach", "lake", "hill"),
    slots=(
        slot(
            "chore game done",
            ("clean the bedroom", "I am a truck, and I pick up every toy", "the bedroom was clean"),
            ("wash the dishes", "I am a captain, and each plate is a ship", "all the dishes were clean"),
            (
                "pick up the leaves",
                "I am the wind, and I make the leaves fly into the bag",
                "the bag was full",
            ),
            ("water the flowers", "I am a rain cloud", "all the flowers had water"),
            ("fold the clothes", "I am a baker, and each shirt is a cake", "the clothes were in neat rows"),
            ("sweep the floor", "I am a dancer, and the broom dances with me", "the floor was clean"),
            ("carry in the wood", "I am a strong bear, and I carry trees", "all the wood was inside"),
        ),
    ),
    want=beat(
        "[One day|One morning], the sun was out. {A} wanted to go to {place} with {his} friend {Bk}.",
        '"[Can I go to {place}|May I play at {place}]?" {A} asked {his} {elder} one day. {He} wanted to meet {his} '
        "friend {Bk} there.",
    ),
    obstacle=beat(
        '"First you have to {chore}," said {his} {elder}. {A} looked at all the work. It would take so long! {He} '
        "[sat down and sighed|was not happy].",
        'But {he} had to {chore} first. "That is no fun," said {A}. {He} did a little and stopped. {He} did a little '
        "more and stopped again.",
    ),
    ways=(
        Way(
            beat(
                'Then {he} had an idea. {He} would make it a game. "{game}!" {he} said. {He} worked and '
                "[sang|laughed].",
                '"Make it a game," said {his} {elder}. {A} thought about that. "{game}!" {he} said. Now the work was '
                "fun.",
            ),
            beat(
                'Before {he} knew it, {done}. "[So soon|Well done]!" said {his} {elder}. {A} ran to {place}, and {he} '
                "and {B} played until dark.",
                "In a short time, {done}. {His} {elder} gave {him} a hug. Then {A} went to {place}, where {B} was "
                "waiting.",
            ),
        ),
        Way(
            beat(
                'Soon {B} came to the house. "I can help you," said {B}. "We can play while we work. {game}!" {A} '
                "laughed and played too.",
                'Then {B} looked in at the door. "Two are faster than one," {she} said. "Here is a game. {game}!" '
                "They both laughed and worked.",
            ),
            beat(
                "Soon {done}. They ran to {place} together and had a wonderful day.",
                'In no time, {done}. "Thank you, {B}," said {A}. Then they went to {place} and played all afternoon.',
            ),
        ),
    ),
    moral=beat(
        "{A} learned that work can be fun too.",
        "Play is even better when the work is done.",
        "After that, {A} made a game out of every job.",
    ),
)

PLAY = (RAIN, RACE, TOO_HIGH, CHORE)
