"""Plots of the offline writer about making, mending, finding and wishing."""

from data_gen.offline.template import Plot, Way, beat, slot
from data_gen.offline.words import GREEN, OPEN

LOST = Plot(
    name="lost thing",
    places=GREEN,
    slots=(
        slot("color", "red", "blue", "green", "yellow", "purple", "orange", "white", "pink", "brown"),
        slot("toy", "ball", "hat", "scarf", "book", "cup", "bag", "toy car", "toy boat", "teddy bear", "kite"),
        slot(
            "spot",
            "under a bush",
            "behind a big rock",
            "in the tall grass",
            "under some leaves",
            "next to a log",
            "behind a tree",
        ),
    ),
    want=beat(
        "[One day|One morning|One afternoon], {A} could not find {his} {color} {toy}. {He} wanted it back [very "
        "much|more than anything].",
        "{A} had {a_color} {toy} that {he} took everywhere. [One day|One morning], it was gone! {He} wanted to find "
        "it.",
        '"[Oh, no|Oh dear]!" said {A} [one day|one morning]. "Where is my {color} {toy}? I want to find it."',
    ),
    obstacle=beat(
        "{He} looked under the bed. {He} looked [behind the door|in every box]. The {toy} was not there, and {A} felt "
        "[sad|very sad].",
        "{He} looked and looked, but {he} could not see it [anywhere|in the house]. A tear ran down {his} face.",
        "First {he} looked in {his} room. Then {he} looked [in the kitchen|on the steps]. There was no {toy}.",
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} came to the door. "Do not cry," said {B}. "We can look together." They went to '
                "{place}, where {A} had played the day before.",
                'Then {A} met {his} friend {Bk}. "I lost my {toy}," said {A}. "I saw one {at}!" said {B}. So they ran '
                "there [together|as fast as they could].",
            ),
            beat(
                'There, {spot}, they saw something {color}. It was the {toy}! "Thank you, {B}," said {A}, and they '
                "walked home together.",
                '"Look!" cried {B}. The {toy} was {spot}. {A} was so happy that {he} [danced|jumped up and down].',
            ),
        ),
        Way(
            beat(
                '"Think," said {his} {elder}. "Where did you have it last?" {A} closed {his} eyes. "I had it {at}!" '
                "{he} said, and {he} ran there [at once|right away].",
                '{A} sat down and thought about the day before. "I was {at}," {he} told {his} {elder}. They went '
                "there together.",
            ),
            beat(
                "The {color} {toy} was {spot}, just where {he} had left it. {A} hugged it [tight|and laughed].",
                'And there it was, {spot}! "I found it!" {he} shouted. {He} took the {toy} home and put it in a safe '
                "place.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned to take good care of {his} things.",
        "After that, {A} always put the {toy} back in its place.",
        "{A} was very glad to have it back.",
    ),
)

BUILDING = Plot(
    name="making something",
    places=("garden", "meadow", "park"),
    slots=(
        slot(
            "thing failed tip worked",
            ("kite", "It was too heavy, and it did not fly", "Use thin paper", "flew high up in the sky"),
            (
                "boat",
                "It filled with water and went down",
                "Use dry wood",
                "went across the water like a duck",
            ),
            (
                "tower",
                "It fell down with a crash",
                "Put the big blocks at the bottom",
                "stood tall and strong",
            ),
            ("cake", "It came out flat and hard", "Use more eggs", "came out soft and sweet"),
            ("cart", "The wheels fell off", "Use longer nails", "rolled down the path with a happy sound"),
            ("tent", "The wind blew it over", "Tie it to a tree", "stood still even in the wind"),
            ("drum", "It made no sound at all", "Pull the cloth tight", "went boom, boom, boom"),
            ("birdhouse", "The roof fell off", "Use more glue", "looked so good that two birds moved in"),
            ("clay pot", "It broke in two", "Dry it slowly in the sun", "held water and did not break"),
            ("swing", "The rope broke", "Use a thicker rope", "went up and down all day long"),
        ),
    ),
    want=beat(
        "[One day|One morning|One afternoon], {A} wanted to make {a_thing}. {He} got all that {he} needed and [went "
        "to work|began].",
        '"[Today|This morning] I will make {a_thing}!" said {A}. {He} wanted it to be the best {thing} of all.',
        "{A} had seen {a_thing} {at}. It was so nice that {he} wanted to make one {himself}.",
    ),
    obstacle=beat(
        '{He} worked for a long time. But when it was done, it did not go well. {failed}. "[I give up|It is no good]!" '
        "said {A}.",
        "But {he} worked too fast. {failed}. {A} [sat down and cried|was mad and wanted to stop].",
        "{He} tried once. {failed}. {He} tried again, and it was no better. {A} let {his} head hang.",
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} came to see. "Do not give up," said {B}. "{tip}, and try again. I will help you." '
                "So they worked [together|side by side].",
                '"Can I help?" asked {his} friend {Bk}. "{tip}," {she} said. "It helped me." {A} [nodded|smiled], and '
                "the two began again.",
            ),
            beat(
                'This time, the {thing} {worked}. "We did it!" they shouted.',
                "At last, it was done. The {thing} {worked}, and the two friends [cheered|clapped their {hands}].",
            ),
        ),
        Way(
            beat(
                '"I had the same trouble when I was little," said {his} {elder}. "{tip}." {A} wiped {his} eyes and '
                "tried one more time.",
                '{His} {elder} looked at it. "You were very close. {tip}, and it will work." {A} took a deep breath '
                "and began again.",
            ),
            beat(
                "This time, the {thing} {worked}. {A} was so proud that {he} [danced|called everyone to see it].",
                'Now the {thing} {worked}! "I knew that you could do it," said {his} {elder}.',
            ),
        ),
    ),
    moral=beat(
        "{A} learned to try again when things go wrong.",
        "It is fine to fail if you try again.",
        "{A} never gave up so fast again.",
    ),
)

BROKEN = Plot(
    name="broken toy",
    places=OPEN,
    slots=(
        slot(
            "toy broke fix",
            ("teddy bear", "One arm came off", "sewed the arm back on with strong thread"),
            ("toy train", "One wheel fell off", "put the wheel back on with a tiny nail"),
            ("doll", "The dress got a big hole", "sewed a yellow heart over the hole"),
            ("kite", "The paper tore in two", "joined the two parts with tape"),
            ("toy boat", "The sail came off", "made a new sail from an old shirt"),
            ("wooden horse", "One leg broke", "put the leg back on with glue"),
            ("music box", "It did not play anymore", "cleaned it with a tiny brush"),
            ("wagon", "The handle broke", "made a new handle out of rope"),
            ("puppet", "One string broke", "tied on a new red string"),
        ),
    ),
    want=beat(
        "{A} had {a_toy} that {he} loved. [One day|One morning], {he} took it to {place}. {He} wanted to play all day.",
        "[One day|One sunny day], {A} wanted to play with {his} {toy} {at}.",
        "The best thing {A} had was {a_toy}. [One day|One afternoon], {he} wanted to show it to {his} friend {Bk}, so "
        "{he} took it to {place}.",
    ),
    obstacle=beat(
        "All went well at first. Then {he} played too hard. {broke}. {A} [looked at the {toy} and cried|could not "
        "believe it].",
        'But {he} was not careful enough. {broke}. "[Oh, no|My poor {toy}]!" cried {A}.',
        'Then something bad happened. {broke}. "It will never be the same," said {A} [with a sad face|sadly].',
    ),
    ways=(
        Way(
            beat(
                'At home, {he} showed it to {his} {elder}. "We can mend it," said {his} {elder}. They sat down at the '
                "table. With {his} {elder}, {A} {fix}.",
                '{A} ran to {his} {elder}. "Can you help me?" "I will show you how," said {his} {elder}, and {A} '
                "{fix}.",
            ),
            beat(
                "It was not like new, but {A} loved the {toy} even more. {He} [kept it by {his} bed|took it "
                "everywhere].",
                '"We did it!" said {A}. {He} gave {his} {elder} a hug and played with the {toy} until bedtime.',
            ),
        ),
        Way(
            beat(
                '{His} friend {Bk} had seen it all. "Do not be sad," said {B}. "I know what to do." {B} ran home and '
                "came back with a box. Together they {fix}.",
                'Then {his} friend {Bk} came by. "I can help you," said {B}. They sat under a tree, and they {fix}.',
            ),
            beat(
                '"It is as good as new!" said {A}. "Thank you, {B}." They played with the {toy} all afternoon.',
                "{A} was so happy. {He} let {B} have the first turn with the {toy}.",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that broken things can be mended.",
        "It is good to have help.",
        "After that, {A} was more careful with {his} toys.",
    ),
)

WISH = Plot(
    name="a wish",
    places=("hill", "garden", "meadow"),
    slots=(
        slot(
            "wish why plan did felt",
            (
                "fly like a bird",
                "{he} had no wings",
                "I know a good swing",
                "sat on the swing and went up and up",
                "like a bird in the sky",
            ),
            (
                "touch the moon",
                "the moon was too far away",
                "Come and look into the pond",
                "put {his} {hand} in the water where the moon was",
                "like {he} had touched the sky",
            ),
            (
                "be as tall as a tree",
                "{he} was very small",
                "Come and climb the hill with me",
                "stood on top of the hill and looked down at the trees",
                "taller than anyone",
            ),
            (
                "wear a crown",
                "{he} had no gold",
                "We can make one out of paper",
                "put on a crown of yellow paper",
                "like the ruler of the land",
            ),
            (
                "sail across the sea",
                "{he} had no ship",
                "I have a very big box",
                "sat in the box and sailed over the green grass",
                "like a real sailor",
            ),
            (
                "sleep under the stars",
                "it was too cold outside",
                "We can bring the stars inside",
                "cut out paper stars and put them over the bed",
                "like {he} was in the sky",
            ),
            (
                "ride on a dragon",
                "there were no dragons",
                "I have an old green blanket",
                "put the blanket over a log and rode it",
                "as brave as a knight",
            ),
        ),
    ),
    want=beat(
        "[One evening|One night], {A} looked up at the sky. {He} had one wish. {He} wanted to {wish}.",
        '"I want to {wish}," said {A} [one day|one evening]. {He} thought about it all the time.',
        "[One day|One evening], {A} sat {at} and made a wish. {He} wanted to {wish}.",
    ),
    obstacle=beat(
        "But {why}. {A} [thought and thought|thought very hard], but {he} could not find a way. {He} was sad.",
        'There was just one problem. {Why}. "My wish will never come true," said {A}.',
        "{He} waited for a long time. But {why}, and the wish did not come true. {A} [felt sad|looked at the ground].",
    ),
    ways=(
        Way(
            beat(
                '{His} friend {Bk} heard about it. "{plan}," said {B}. "[You will see|Trust me]." So they went '
                "together, and {A} {did}.",
                'Then {he} told {his} friend {Bk}. {B} thought for a while. "{plan}!" {she} said. Soon {A} {did}.',
            ),
            beat(
                '{He} felt {felt}. "[My wish came true|It is just like my wish]!" {he} cried, and {B} laughed.',
                "It felt wonderful. {A} felt {felt}. Then {B} took a turn too, and they both laughed.",
            ),
        ),
        Way(
            beat(
                '{His} {elder} smiled. "{plan}," said {his} {elder}. {A} did not know what to think. But soon {he} '
                "{did}.",
                '"{plan}," said {his} {elder}. "A wish can come true in a new way." So {A} {did}.',
            ),
            beat(
                '{A} felt {felt}. "Thank you," {he} said, and {he} gave {his} {elder} a [kiss|big hug].',
                "{He} laughed out loud. {He} felt {felt}. That night, {A} [went to bed with a smile|had sweet dreams].",
            ),
        ),
    ),
    moral=beat(
        "{A} learned that some wishes come true in a new way.",
        "With a good idea, a small thing can be magic.",
        "{A} never forgot that day.",
    ),
)

MAKING = (LOST, BUILDING, BROKEN, WISH)
