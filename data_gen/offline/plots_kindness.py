"""Plots of the offline writer about being good to others."""

from data_gen.offline.template import Plot, Way, beat, slot
from data_gen.offline.words import GREEN, OPEN

SHARING = Plot(
    name="sharing",
    places=OPEN,
    slots=(
        slot(
            "treat",
            "apple",
            "pear",
            "peach",
            "cookie",
            "muffin",
            "cupcake",
            "plum",
            "sandwich",
            "bun",
            "pancake",
        ),
    ),
    want=beat(
        "[One day|One afternoon|One morning], {A} sat {at} with {a_treat}. [It smelled so good.|It looked so good.] "
        "{He} wanted to eat it [all by {himself}|all alone].",
        "[One day|One afternoon], {his} {elder} gave {him} {a_treat}. {A} took it to {place}. {He} wanted to eat "
        "[every bit of it|all of it] {himself}.",
        "{A} had {a_treat}, and {he} had [waited for it all day|thought about it all morning]. {He} sat down {at} and "
        "wanted to eat it all.",
    ),
    obstacle=beat(
        'Then {his} friend {Bk} came by. "I am so hungry," said {B}. "I have nothing to eat." {A} [held the {treat} '
        "close|hid the {treat} behind {his} back]. There was only one.",
        'Just then, {his} friend {Bk} sat down next to {him}. {B} had [nothing to eat|no food at all]. "That {treat} '
        'looks good," {she} said [in a small voice|softly]. {A} did not want to share.',
        '"Hello, {A}," said {his} friend {Bk}. "May I have some of your {treat}?" {A} shook {his} head. "[No, it is '
        'mine|No, it is too small to share]," {he} said. {B} [looked sad|looked down at the ground].',
    ),
    ways=(
        Way(
            beat(
                "{A} took a small bite, but it did not taste good. It was no fun to eat while {B} was hungry. So {he} "
                "broke the {treat} in two and gave {B} [half|the bigger part].",
                "{A} looked at {B} and thought, [I would be sad too|I know how it feels to be hungry]. So {he} cut "
                'the {treat} in two. "Half is for you and half is for me," {he} said.',
                'Then {A} heard a little sound. It came from {B}, whose tummy was empty. "I am sorry," said {A}. '
                '"[Friends share|We can share it]." {He} gave {B} half of the {treat}.',
            ),
            beat(
                "They ate side by side and [laughed|smiled]. It was the best {treat} {A} had ever had.",
                '"Thank you!" said {B} with a big smile. The two friends ate together, and {A} felt [warm inside|very '
                "happy].",
                "{B} gave {A} a [big|warm] hug. The next day, {B} came back with {a_treat} and shared it too.",
            ),
        ),
    ),
    moral=beat(
        "[{A} learned that|From that day on, {A} knew that] food tastes better when you share it.",
        "{A} learned that sharing makes two people happy.",
        "After that, {A} always shared with {his} friends.",
    ),
)

ANIMAL = Plot(
    name="small animal",
    places=GREEN,
    slots=(
        slot(
            "creature trouble need idea done after",
            (
                "baby bird",
                "It had fallen out of its nest",
                "The nest was too high to reach",
                "You can stand on my back",
                "put the baby bird back in its nest",
                "The baby bird sang a happy song",
            ),
            (
                "ladybug",
                "It was stuck in a deep puddle",
                "The puddle was too wide to step over",
                "We can use a long leaf",
                "held out the leaf until the ladybug climbed on",
                "The ladybug sat on a flower and dried its wings",
            ),
            (
                "snail",
                "It was slow, and it was far from the wet grass",
                "The sun was hot, and the snail was dry",
                "We can carry it on a cool leaf",
                "set the snail down in the wet grass",
                "The snail came out of its shell to look at them",
            ),
            (
                "butterfly",
                "Its wings were wet, and it could not fly",
                "The ground was cold and wet",
                "We can find it a warm spot in the sun",
                "set the butterfly down on a warm rock",
                "The butterfly opened its wings and flew around them",
            ),
            (
                "duckling",
                "It had lost its mother",
                "Nobody knew where the mother duck had gone",
                "Listen, I can hear a duck by the water",
                "walked with the duckling all the way to the water",
                "The duckling ran to its mother and hid under her wing",
            ),
            (
                "lamb",
                "Its foot was stuck under a root",
                "The root was big and hard to move",
                "We can pull the root up together",
                "pulled the root up until the lamb was free",
                "The lamb jumped around them in the grass",
            ),
            (
                "frog",
                "It sat at the bottom of a deep hole",
                "The hole was too deep for the frog to jump out",
                "We can put a stick in the hole",
                "put a long stick in the hole, and the frog climbed out",
                "The frog made a happy jump and hopped away",
            ),
        ),
    ),
    want=beat(
        "[One day|One morning|One sunny day], {A} was walking {at} when {he} saw {a_creature}. {trouble}. {A} wanted "
        "to help it.",
        '[One day|One afternoon], {A} was playing {at}. There {he} found {a_creature}. {trouble}. "I must help you," '
        "said {A}.",
        '[One day|One morning], {A} saw {a_creature} {at}. {trouble}. "Do not be afraid," {A} said [softly|gently]. '
        '"I will help you."',
    ),
    obstacle=beat(
        "But it was not easy. {need}. {A} could not do it alone.",
        "{A} did not know what to do. {need}. {He} [sat down to think|looked around for help].",
        '{need}. "[This is too hard for me|I am too small to do this alone]," said {A}.',
    ),
    ways=(
        Way(
            beat(
                'Just then, {his} friend {Bk} came by. "{idea}," said {B}. It was a [good|clever] plan. Together they '
                "{done}.",
                'Then {his} friend {Bk} came along. "{idea}," {she} said. [Very slowly|With care], they {done}.',
            ),
            beat(
                "{after}. The two friends [smiled|laughed] and [waved|said goodbye].",
                '{after}. "I think it is saying thank you," said {B}. {A} [felt proud|was very happy].',
                "{after}. {A} and {B} [talked about it all the way home|walked home with big smiles].",
            ),
        ),
        Way(
            beat(
                'So {he} ran to get {his} {elder}. "{idea}," said {his} {elder}. Together they {done}.',
                '{He} called {his} {elder}, who came [at once|right away]. "{idea}," said {his} {elder}. They were '
                "very gentle, and they {done}.",
            ),
            beat(
                '{after}. "You have a kind heart," said {his} {elder}. {A} [smiled|felt proud].',
                "{after}. {A} [waved|said goodbye] and walked home side by side with {his} {elder}.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that even small friends need help.",
        "It feels good to help someone who is small.",
        "{A} never forgot the {creature}.",
    ),
)

GIFT = Plot(
    name="gift",
    places=GREEN,
    slots=(
        slot(
            "gift made",
            ("flower crown", "picked soft flowers and tied them in a ring"),
            ("card", "folded some paper and drew a big red heart on it"),
            ("picture", "found some paints and made a picture of the two of them"),
            ("little boat", "took a piece of wood and a leaf and made a little boat"),
            ("paper star", "cut some gold paper and folded it into a star"),
            ("necklace", "put bright seeds on a string and made a necklace"),
            ("pot of jam", "picked sweet berries and cooked them with sugar"),
            ("bookmark", "pressed a leaf flat and tied a ribbon to it"),
        ),
        slot("store_gift", "big cake", "new hat", "silver bell", "golden ring", "big book", "warm coat"),
    ),
    want=beat(
        "[Tomorrow|The next day] was {his} {elder}'s birthday. {A} wanted to buy {a_store_gift} as a gift.",
        "It was [almost|nearly] {his} {elder}'s birthday. {A} wanted to find the best gift of all. In a shop, {he} "
        "saw {a_store_gift}.",
        "{A} loved {his} {elder} very much. {His} {elder}'s birthday was near, and {he} wanted to buy {a_store_gift}.",
    ),
    obstacle=beat(
        "But {A} had only one coin. It was not enough. {He} walked [slowly|sadly] to {place} and sat down.",
        "{He} looked in {his} pocket. It was empty. {A} had no money for a gift, and {he} [felt sad|began to cry].",
        'The {store_gift} cost ten coins, and {A} had just two. "[What can I do|What will I give now]?" {he} asked.',
    ),
    ways=(
        Way(
            beat(
                'Then {his} friend {Bk} came by. "You could make something," said {B}. {A} [jumped up|smiled]. [Yes, '
                "{he} could!|What a good idea!] {He} {made}. It took all afternoon.",
                'Then {he} met {his} friend {Bk}. "The best gifts come from the heart," said {B}. {A} thought about '
                "it. Then {he} {made}.",
                "Then {A} had an idea. {He} could make a gift with {his} own {hands}! So {he} {made}. {He} worked "
                "[with care|until it was just right].",
            ),
            beat(
                'In the morning, {A} gave {his} {elder} the {gift}. "[Did you make it for me|Is this for me]?" asked '
                '{his} {elder}. "It is the best gift I have ever had!"',
                'The next day, {he} said, "Happy birthday!" {His} {elder} loved the {gift} and gave {A} a big hug. '
                '"[You made this with love|This makes me so happy]," said {his} {elder}.',
                "When the big day came, {A} gave the {gift} to {his} {elder}. {His} {elder} smiled and smiled, and "
                "they ate cake together.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that a gift does not need to cost money.",
        "The best gifts are made with love.",
        "{A} was proud of what {he} had made.",
    ),
)

SICK_FRIEND = Plot(
    name="sick friend",
    places=("park", "playground", "meadow", "beach", "lake", "field"),
    slots=(
        slot(
            "kind_thing bring",
            ("hot soup", "some hot soup in a pot"),
            ("sweet berries", "a bowl of sweet berries"),
            ("yellow flowers", "a bunch of yellow flowers"),
            ("a story book", "a book full of stories"),
            ("warm bread", "some warm bread with honey"),
            ("a soft pillow", "a big soft pillow"),
            ("a funny picture", "a funny picture of a dancing cow"),
            ("a puzzle", "a puzzle in a small box"),
        ),
    ),
    want=beat(
        "[One day|One morning], {A} wanted to play {at} with {his} friend {Bk}. {He} ran down the road and knocked on "
        "the door.",
        "{A} and {his} friend {Bk} played together every day. [One day|One morning], {A} waited {at}, but {B} did not "
        "come. So {A} went to look for {her}.",
        "[One sunny day|One day], {A} had a plan. {He} wanted to go to {place} with {his} best friend, {Bk}.",
    ),
    obstacle=beat(
        'But {B} was sick in bed. "I cannot play," {she} said in a [weak|tiny] voice. "My head hurts." {A} [felt sad '
        "for {his} friend|was sad].",
        'But {B} had a bad cold and had to stay in bed. {Hers} nose was red. "[I feel so bad|I am sad and tired]," '
        "{she} said.",
    ),
    ways=(
        Way(
            beat(
                "{A} thought, what would make {B} feel better? {He} ran home and asked {his} {elder}. Soon {he} came "
                "back with {bring}.",
                '"I will be right back!" said {A}. {He} went home as fast as {he} could. When {he} came back, {he} '
                "had {bring}.",
            ),
            beat(
                '{B} sat up and smiled. "{Kind_thing}! Thank you, {A}," {she} said. They [talked|laughed] until dark. '
                "[In a few days|Three days later], {B} was well, and they played {at} again.",
                '"{Kind_thing}! Just for me?" asked {B}. {She} felt a little better already. {A} came back every day, '
                "and [soon|one week later] the two friends were playing {at}.",
                'Now {B} had a big smile. "{Kind_thing}! You are a good friend," {she} said. [The next week|Soon], '
                "{B} was well, and {she} ran to {place} with {A}.",
            ),
        ),
    ),
    moral=beat(
        "A kind friend can make a bad day better.",
        "{A} learned that friends take care of each other.",
        "{A} was happy that {he} could help.",
    ),
)

KINDNESS = (SHARING, ANIMAL, GIFT, SICK_FRIEND)
