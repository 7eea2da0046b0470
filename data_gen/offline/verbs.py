"""What verbs need beside them, so that a sentence around one that was drawn by chance is a sentence.

A verb that no set names can stand alone: he likes to run.
"""


def _verbs(text: str) -> frozenset[str]:
    return frozenset(text.split())


# He likes to bake things.
THINGS = _verbs("""
    accept add admire admit adore bag bake balance bang beat bend bite blend bolt borrow box braid bring brush buckle build
    bundle burn bury butter button buy carry carve catch chase chomp choose chop clean clip close collect color
    comb compare connect control copy correct count cover cradle crack create crumple crunch crush cut decorate deliver
    describe desire devour dig dip dirty discover divide do doubt drag dump dunk dust empty enjoy erase exchange
    expect explain explore fasten feel fetch fill find finish fix flatten flick fling flip fold forget frame gather
    get give glue gnaw gobble grab greet grill grip group guess hammer hand handle hang harvest haul have hear heat hit
    hold hook hurl ignore imagine improve invent iron juggle keep kick knead knot know label lace launch lend lengthen
    lick lift light like list load lock loosen lose love lower lull make mash match measure mend mention mimic mix
    mold mow muddy nail name need nibble notice number offer open order own pack paste pat patch peel pick pile place
    plant plug poke polish pose pour practice prefer prepare present press print promise protect pull pump push rake
    rebuild receive recognize record recycle redo redraw refill refuse remove rename reopen repaint repair repeat replace
    reread retell return reuse rinse rip roll rub save saw say scatter scoop scrape scratch scrub scrunch see seek sell
    send separate sew shake shape share sharpen shorten shovel show shut sip slam slice smear smudge snip soak
    soften solve sort spell spend spill spoon spot spray sprinkle squeeze squish stack stain
    stamp staple stick stir stitch store straighten stuff suggest swallow swap sweep sweeten switch tag
    take tame tangle tap tape taste test thicken thread throw tie tighten tilt tip toast topple toss touch tow trace
    track trim tuck tug unbuckle unbutton uncover understand undo unfold unload unlock unpack unplug unroll
    unscrew untangle untie untuck unwind unwrap unzip use vacuum want wash watch water wear weave weigh wet whisk widen
    wipe wrap zip tear raise misspell smell post
""")

# He likes to hug his friends.
FRIENDS = _verbs("""
    amaze answer ask believe call calm charm cheer comfort delight encourage excite follow fool forgive guide heal
    help hug hush impress interrupt introduce invite join kiss lead meet miss nurse nuzzle outsmart pamper pet phone
    photograph please praise puzzle remember remind rescue respect reward serve shush soothe spy startle surprise teach
    tell thank thrill tickle trust stroke visit wake warn welcome guard defend feed
""")

# It is not nice to tease others.
UNKIND = _verbs("""
    anger annoy blame bother damage destroy dislike disobey embarrass force frighten hate hurt
    punish scare scold shock shove slap squirt steal sting tackle tease trap trick trip upset waste wreck
    ruin break smash spoil pinch
""")
# It is not nice to cheat.
NAUGHTY = _verbs("cheat dawdle disagree fib fuss lie misbehave overeat pout quarrel scowl snarl spit sulk swear")

# He likes to watch things melt.
HAPPEN = _verbs("""
    blast bloom blossom boil bubble burst clank clatter clunk collapse crackle creak crumble dangle darken dissolve
    drip droop drop explode fade fizz flicker float flood flop flow flutter freeze glimmer glitter glow gush happen harden
    jangle jerk jingle jolt leak melt overflow overturn rattle ripen rise rock rot shatter shimmer shine shrink sink
    sizzle slosh sound sparkle sprout squelch squash swarm swell swing swirl swish thaw tinkle trickle tumble twinkle
    whir whoosh wilt wrinkle zoom spread change grow tick ding ping bud chime
""")

# Neither fits: the word itself is what the sentence is about.
ALONE = _verbs("""
    ache age allow become belong confuse cost dare fear obey dawn dial drizzle enter fail fit flock hatch hibernate land last
    lay leave let mark marry matter mean milk part pass pay put rain reach revisit rule saddle score seem set snow
    stay string sweat cross end mind mess seed slow figure ice chalk loop shelter thunder trade
""")


def phrase(verb: str, friends: str) -> str:
    """The verb with what it needs; "" where the verb is none that somebody does for pleasure."""
    if verb in ALONE or verb in UNKIND or verb in NAUGHTY or verb in HAPPEN:
        return ""
    if verb in FRIENDS:
        return f"{verb} {friends}"
    return f"{verb} things" if verb in THINGS else verb
