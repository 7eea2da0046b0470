"""What `words` cannot work out: irregular forms, and the small words of English."""


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """`foot feet; ...`: a word and its irregular forms; one alone has none."""
    rows = [row.split() for row in text.replace("\n", " ").split(";")]
    return {word: tuple(forms) for word, *forms in rows}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLURALS = _table("""bookshelf bookshelves; calf calves; child children; deer; dwarf dwarfs dwarves; elf elves;
    fireman firemen; firefly fireflies; fish fish fishes; foot feet; goldfish; goose geese; grandchild grandchildren;
    half halves; hoof hooves hoofs; jellyfish; knife knives; leaf leaves; life lives; loaf loaves; mailman mailmen;
    man men; moose; mouse mice; ox oxen; person people persons; policeman policemen; reindeer; scarf scarves scarfs;
    sheep; shelf shelves; snowman snowmen; starfish; stomach stomachs;
    thief thieves; tooth teeth; wife wives; wolf wolves; woman women""")

PLURALS |= _table("""appendix appendices appendixes; axis axes; bacterium bacteria; cactus cacti cactuses;
    criterion criteria; curriculum curricula curriculums; formula formulas formulae; fungus fungi funguses;
    hippopotamus hippopotamuses hippopotami; index indexes indices; larva larvae; matrix matrices; medium media mediums;
    memorandum memoranda memorandums; nucleus nuclei; octopus octopuses octopi; ovum ova; phenomenon phenomena;
    radius radii; series; species; stimulus stimuli; aircraft; bison; salmon; squid squid squids; trout; shrimp shrimp shrimps;
    spacecraft; stratum strata; syllabus syllabi syllabuses; vertex vertices; antenna antennas antennae; vertebra vertebrae;
    alumnus alumni; datum data; louse lice; die dice dies; passerby passersby; photo photos; sister-in-law sisters-in-law""")
# Of nouns that end so: fireman, housewife, bookshelf, grandchild, analysis.
PLURAL_ENDINGS = {"man": "men", "wife": "wives", "knife": "knives", "shelf": "shelves", "leaf": "leaves", "wolf": "wolves",
                  "thief": "thieves", "child": "children", "tooth": "teeth", "foot": "feet", "person": "people",
                  "mouse": "mice", "sis": "ses"}  # fmt: skip

PASTS = _table("""babysit babysat; be am is are was were been; beat beat beaten; become became; begin began begun;
    bend bent; bite bit bitten; bleed bled; blow blew blown; break broke broken; bring brought; build built;
    burn burned burnt; burst; buy bought; catch caught; choose chose chosen; cling clung; come came; cost; creep crept; cut;
    deal dealt; dig dug; dive dived dove; do did done does; draw drew drawn; dream dreamed dreamt;
    drink drank drunk; drive drove driven; eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought;
    find found; fit fit fitted; flee fled; fling flung; fly flew flown; forbid forbade forbidden;
    forget forgot forgotten; forgive forgave forgiven; freeze froze frozen; get got gotten; give gave given;
    go went gone; grind ground; grow grew grown; hang hung hanged; have had; hear heard; hide hid hidden; hit;
    hold held; hurt; keep kept; kneel knelt kneeled; knit knitted; know knew known; lay laid; lead led;
    lean leaned leant; leap leaped leapt; learn learned learnt; leave left; lend lent; let; lie lay lain lied;
    light lit lighted; lose lost; make made; mean meant; meet met; mislead misled; mow mowed mown; outgrow outgrew;
    outrun outran; overeat overate overeaten; overhear overheard; oversleep overslept; pay paid; put; quit; read;
    rebuild rebuilt; redo redid redone; redraw redrew redrawn; reread; retell retold; rewind rewound;
    ride rode ridden; ring rang rung; rise rose risen; run ran; saw sawed sawn; say said; see saw seen; seek sought;
    sell sold; send sent; set; sew sewed sewn; shake shook shaken; shear sheared shorn; shine shone shined;
    show showed shown; shrink shrank shrunk; shut; sing sang sung; sink sank sunk; sit sat; sleep slept; slide slid;
    smell smelled smelt; sow sowed sown; speak spoke spoken; speed sped; spell spelled spelt; spend spent;
    spill spilled spilt; spin spun; spit spat; split; spoil spoiled spoilt; spread; spring sprang sprung;
    stand stood; steal stole stolen; stick stuck; sting stung; stink stank stunk; strike struck; string strung;
    swear swore sworn; sweat sweated; sweep swept; swell swelled swollen; swim swam swum; swing swung; take took taken;
    teach taught; tear tore torn; tell told; think thought; throw threw thrown; understand understood; undo undid undone;
    unwind unwound; upset; wake woke woken; wear wore worn; weave wove woven; weep wept; wet wetted; win won;
    wind wound; write wrote written""")

PASTS |= _table("""arise arose arisen; awake awoke awoken; awaken awakened; befall befell befallen; behold beheld; beset;
    bet; bid bid bade bidden; bind bound; breed bred; broadcast; cast; clothe clothed clad; dwell dwelt dwelled;
    forecast forecast forecasted; foresee foresaw foreseen; foretell foretold; forgo forwent forgone; hew hewed hewn;
    input input inputted; interweave interwove interwoven; partake partook partaken; plead pleaded pled; proofread;
    prove proved proven; rend rent; rid; shave shaved shaven; shed; shoot shot; slay slew slain; sling slung; slit;
    strew strewed strewn; stride strode stridden; strive strove striven strived; thrust; tread trod trodden;
    uphold upheld; wed wed wedded; wring wrung""")
PREFIXES = ("over", "under", "with", "mis", "re", "out", "un", "fore", "pre")  # of irregular verbs

COMPARED = _table("""bad worse worst; clever cleverer cleverest; cruel crueler cruelest; good better best;
    far farther farthest further furthest; hollow hollower hollowest; ill worse worst; little littler littlest less least;
    narrow narrower narrowest; nimble nimbler nimblest; quiet quieter quietest; red redder reddest;
    shallow shallower shallowest; shy shyer shyest shier shiest; sly slyer slyest; tender tenderer tenderest;
    well better best; yellow yellower yellowest; back; bent; best; better; blind; burnt; deaf; done; extra; first; found;
    front; gone; grown; hurt; last; left; lit; lost; lower; middle; next; same; shut; single; spare; stuck; top; torn;
    triple; whole; worn; worse; worst; wrong""")

# Verbs of several syllables that end in a stressed short one: forget, forgetting.
STRESSED = _set("""admit babysit begin control forbid forget leapfrog outrun permit prefer regret unclip unplug unwrap
    unzip upset zigzag""")

# And all that end so, but for those in REGULAR: submitted, referred, occurred, expelled, equipped.
STRESSED_ENDINGS = ("mit", "fer", "cur", "pel", "trol", "quip", "quit", "cap", "nap", "lap", "gram")
EITHER = _set("benefit bias focus program worship combat kidnap")  # focused, focussed

# What a rule above would take for irregular or stressed.
REGULAR = _set("""human german roman shaman talisman ottoman caiman walkman norman turban relay limit vomit offer suffer differ
    buffer pilfer inch carpel""")
PLURAL_ONLY = _set("pajamas pyjamas")
NO_ADVERB = _set("""hard late near short bare fast little small big long old young tall red blue green yellow white black
    brown pink purple gray grey orange good ill well far""")

O_ES = _set("buffalo do echo go hero mango mosquito potato redo superhero tomato tornado undo volcano")

FUNCTION_WORDS = _set("""
    a an the this that these those i you he she it we they me him her us them my your his its our their mine yours
    hers ours theirs myself yourself himself herself itself ourselves yourselves themselves who whom whose what which
    when where why how someone somebody something anyone anybody anything everyone everybody everything nobody none
    nothing one ones two three four five six seven eight nine ten eleven twelve twenty hundred many much more most few
    fewer less little some any no all both each every other others another either neither enough several such half
    first second third next last own same and or but nor so yet if because as than then while until till since though
    although unless whether of to in on at by for from with without into onto out off up down over under above below
    behind beside besides between among across along around about against near before after during through toward
    towards inside outside upon past like not never always often sometimes again once twice ever still just only even
    also too very quite almost maybe perhaps soon now later early today tonight tomorrow yesterday ago already
    here there everywhere somewhere anywhere nowhere home away back together apart else instead well better best
    lot lots way forever anymore suddenly finally quickly slowly carefully gently happily sadly loudly quietly softly
    nearly really please yes oh hello hi bye goodbye hooray hurray wow ouch oops yay okay mr mrs miss can could will would shall
    should may might must cannot am is are was were be been being do does did done doing have has had having let
    not isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't haven't hasn't hadn't
    i'm i'll i'd i've you're you'll you've you'd he's he'll he'd she's she'll she'd it's it'll we're we'll we've we'd
    they're they'll they've they'd that's there's here's what's where's who's how's let's""")
