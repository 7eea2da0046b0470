"""What a customer and the service of a shop say, by mood, issue, question and outcome.

Fields: {it} the product, {number} of the order, {day} and {month}, {name}, {serial}, the number on a label.
"""

from data_gen.offline.template import readings

MOODS = {
    "friendly": readings(
        "[Hello|Hi] there, I hope you are [well|having a good day].", "Good [morning|afternoon], nice to meet you."
    ),
    "calm": readings("[Hello|Hi], I [need some help|have a question].", "Good [morning|afternoon]."),
    "worried": readings("Hello, I am [a bit|really] worried.", "Hi, I [hope|really hope] you can help me."),
    "impatient": readings(
        "I have been waiting [for ages|far too long].",
        "[Please be quick|Quickly please], I [do not want to wait again|have waited enough].",
    ),
    "angry": readings("This is [not acceptable|a bad joke].", "I am [very|really] angry with [your shop|you]."),
    "confused": readings(
        "Hello, I [do not understand this|am a bit lost].",
        "Hi, I am not sure [where to begin|if this is the right place].",
    ),
    "disappointed": readings(
        "I [expected|had hoped for] more from your shop.", "I must say I am [very|quite] disappointed."
    ),
    "in a hurry": readings(
        "Hi, I only have [a minute|two minutes|five minutes].", "Quick question, I have to [leave|catch a train] soon."
    ),
}
# By the issue's label: what the customer says, with {it} the product.
ISSUES = {
    "dead": readings(
        "My {it} does not turn on [any more|at all].",
        "I press the switch on my {it} and [nothing happens|it stays dark].",
    ),
    "turns_off": readings(
        "My {it} turns itself off after [two|three|five] minutes.",
        "The {it} starts fine, and then it [just stops|turns off].",
    ),
    "noise": readings(
        "My {it} [suddenly|now] makes a loud [rattling|humming|grinding] noise.",
        "The {it} has become very loud since [Monday|last week].",
    ),
    "hot": readings(
        "My {it} gets [very hot|far too hot] when I use it.", "After a few minutes I can hardly touch the {it}."
    ),
    "smell": readings(
        "My {it} smells of burning plastic.", "There is a burning smell [when I use|coming from] the {it}."
    ),
    "button": readings(
        "A button on my {it} is stuck.", "One of the buttons of the {it} [does not move|cannot be pressed] any more."
    ),
    "cracked": readings(
        "My new {it} arrived with a crack in the case.", "I opened the box, and the case of the {it} [is|was] cracked."
    ),
    "scratched": readings(
        "I bought a new {it}, and it is full of scratches.", "The {it} was sold as new, but it [looks|is clearly] used."
    ),
    "wrong_color": readings(
        "My {it} came in the wrong color.",
        "I ordered a [black|white|red] {it}, and you sent me a [gray|blue|green] one.",
    ),
    "wrong_model": readings("I got another {it} than the one I ordered.", "You sent me the wrong model of {it}."),
    "part_missing": readings(
        "A part is missing from the box of my {it}.",
        "I unpacked my {it}, and [one part|a cable|a small part] is not there.",
    ),
    "wrong_plug": readings(
        "The plug of my {it} does not fit my sockets.", "I cannot plug in the {it}, the plug is a foreign one."
    ),
    "manual": readings(
        "The manual of my {it} is in a language I cannot read.", "I cannot read the manual that came with the {it}."
    ),
    "late": readings(
        "My {it} should have been here a week ago.", "I am still waiting for my {it}, and it is a week late."
    ),
    "not_there": readings(
        "My {it} is marked as delivered, but it [never came|is not here].",
        "The tracking says the {it} was delivered, and I have nothing.",
    ),
    "twice": readings(
        "You sent me the {it} twice and charged me for both.",
        "Two parcels came, each with a {it}, and I paid for both.",
    ),
    "price": readings(
        "I bought a {it}, and the next day it was cheaper.", "The price of the {it} went down one day after my order."
    ),
    "refund": readings(
        "I sent my {it} back weeks ago and have no money yet.", "I am still waiting for the refund for the {it}."
    ),
    "charged": readings(
        "You charged me more for the {it} than the order said.",
        "My bank shows a higher price for the {it} than my order.",
    ),
    "changed_mind": readings("I do not want the {it} any more.", "How do I send back a {it} that I no longer want?"),
    "warranty": readings(
        "My {it} fell from the table. Does the warranty cover that?",
        "Is a fall from the table covered by the warranty of the {it}?",
    ),
    "repair": readings(
        "My {it} came back from repair with the same fault.",
        "You repaired my {it}, and it [still has|has] the same problem.",
    ),
    "receipt": readings(
        "My {it} needs a repair, but I have lost the receipt.", "Can you repair a {it} if I have no receipt any more?"
    ),
    "setup": readings(
        "I do not get through the first setup of my {it}.",
        "The setup of my new {it} stops [halfway|at the second step].",
    ),
}
SORRY = readings(
    "I am sorry [about that|to hear that].",
    "Thank you for [telling us|your message].",
    "That [should not|must not] happen, I am sorry.",
    "I understand, and I [will|want to] help.",
)
# What the assistant asks and the customer answers.
QUESTIONS = {
    "order": (
        readings("[Could you tell me|What is|May I have] your order number?"),
        readings("It is {number}.", "It is [number|order] {number}.", "My order number is {number}."),
    ),
    "when": (
        readings("When did you [buy|order] the {it}?", "On what day did you order it?"),
        readings("On {month} {day}.", "I think it was {month} {day}.", "It was in {month}."),
    ),
    "where": (
        readings("Did you [buy|order] it [on our website|online] or in a shop?"),
        readings("[Online|On your website].", "In your shop [in the station|on the main street|near the market]."),
    ),
    "tried": (
        readings("Have you [tried anything|done anything about it] so far?", "What have you tried so far?"),
        readings(
            "[I|Yes, I] asked a [friend|neighbor], but that did not help.",
            "[Nothing|Not much] yet.",
            "I [looked|searched] [in the manual|on your website] and found nothing.",
        ),
    ),
    "photo": (
        readings("Can you send us a photo of [the box|it|the label]?"),
        readings("Yes, I [have just sent|am sending] it.", "I will [take|send] one [tonight|tomorrow|now]."),
    ),
    "mail": (
        readings("Is your address still [the same|the one in your account]?"),
        readings(
            "Yes, it is.",
            "Yes, [nothing has changed|that is right].",
            "No, I moved [in {month}|last month]. The new one is in my account.",
        ),
    ),
    "serial": (
        readings("[Could you read me|What is] the number on the label [below|at the back]?"),
        readings("It [says|is] {serial}.", "The label says {serial}."),
    ),
    "long": (
        readings("[How long|Since when] have you had this problem?"),
        readings("[For|About] {day} days.", "Since [Monday|Tuesday|Friday|Sunday|yesterday]."),
    ),
}
# The issues that make no sense of a question.
_AWAY = ("late", "not_there", "price", "refund", "charged")
_NO_FAULT = (
    *_AWAY,
    "cracked",
    "scratched",
    "wrong_color",
    "wrong_model",
    "part_missing",
    "wrong_plug",
    "manual",
    "twice",
    "changed_mind",
    "warranty",
    "receipt",
)
POINTLESS = {"photo": _AWAY, "serial": _AWAY, "long": _NO_FAULT, "tried": _NO_FAULT}

# How it ends: the customer's words, then the assistant's.
OUTCOMES = {
    "solved": (
        readings("[All right|Okay], what can be done?", "And what happens now?"),
        readings(
            "[I have put it right in our system|It is done]: [a new one is on its way|the money will be back in {day} days|"
            "you get a new one tomorrow]. Is all well now?",
            "I have [solved|settled] it for you, with case {number}, at no cost.",
        ),
        readings("[Perfect|Great], thank you. That solves it.", "Yes, it works now. Thank you!"),
        readings("I am glad to hear that. [Have a nice day|Goodbye]!", "You are welcome. Enjoy your {it}!"),
    ),
    "answer_later": (
        readings("[All right|Okay], what can be done?", "And what happens now?"),
        readings(
            "I am opening a case for you. Its number is {number}.",
            "I have to ask our [workshop|office] first, so I open case {number}.",
        ),
        readings("When will I hear from you?", "[Okay|Fine], I will wait for your answer."),
        readings(
            "You will get an answer by email within {day} days.",
            "We will write you an email [this week|by {day} {month}]. Goodbye!",
        ),
    ),
    "person": (
        readings("Can I talk to a [person|human]?", "I would like to talk to [somebody|a real person]."),
        readings("Of course, I am passing this chat on to a colleague.", "Yes. A colleague of mine will take over."),
        readings("Do I have to [say|tell] it all again?", "[Good|Fine], thank you."),
        readings(
            "Here is what I tell my colleague: {it}, order {number}, still open. One moment, please.",
            "I have written a short note about your {it} and order {number}. My colleague is with you in a moment.",
        ),
    ),
    "declined": (
        readings("I want my money back, all of it.", "I want a new one, [today|for free]."),
        readings(
            "I am sorry, that is not possible, as [the time for it is over|our rules do not cover this].",
            "I am afraid I am not allowed to do that, because [more than {day} weeks have passed|"
            "the warranty does not cover it].",
        ),
        readings("[So what|What else] can you do?", "Is there nothing at all?"),
        readings("I can offer you {day} percent off your next order.", "I can offer you a repair at half the price."),
    ),
    "more_needed": (
        readings("What do you need from me?", "So what do we need?"),
        readings(
            "We need the number on the [bill|label|box]. It has {day} digits.",
            "Please look for the [bill|delivery note] first. It came with order {number}.",
        ),
        readings(
            "I have to look for it [at home|first]. I will be back.",
            "It is not here. I will [come back|write again] [tomorrow|tonight|later].",
        ),
        readings(
            "[No problem|That is fine]. Your case is {number}, and we go on from there.",
            "Take your time. Just give us case {number} [then|when you are back].",
        ),
    ),
    "unhappy": (
        readings("[And that is all|Is that all] you can do?", "So you will not help me."),
        readings(
            "I am sorry, at the moment I can only [note it|offer a repair] under {number}.",
            "I know this is not what you had hoped for.",
        ),
        readings("Then I will never buy [here|from you] again.", "That is [bad|poor] service. I am leaving."),
        readings(
            "I am sorry. You can still write to our office about case {number}.",
            "I am sorry to hear that. You can still send the {it} back within {day} days.",
        ),
    ),
}
NAMES = readings("My name is {name}.", "This is {name}.", "I am {name}, by the way.")
