"""Chats of a customer with the service of a shop: product, issue, mood and outcome decide what is said."""

from collections.abc import Mapping
from random import Random
from typing import Any

from data_gen.offline.template import capital, variants

Chat = list[tuple[str, str]]  # (role, text)


def _all(*templates: str) -> tuple[str, ...]:
    return tuple(text for template in templates for text in variants(template))


_MOODS = {
    "friendly": _all("[Hello|Hi] there, I hope you are [well|having a good day].", "Good [morning|afternoon], nice to meet you."),
    "calm": _all("[Hello|Hi], I [need some help|have a question].", "Good [morning|afternoon]."),
    "worried": _all("Hello, I am [a bit|really] worried.", "Hi, I [hope|really hope] you can help me."),
    "impatient": _all("I have been waiting [for ages|far too long].", "[Please be quick|Quickly please], I [do not want to wait again|have waited enough]."),
    "angry": _all("This is [not acceptable|a bad joke].", "I am [very|really] angry with [your shop|you]."),
    "confused": _all("Hello, I [do not understand this|am a bit lost].", "Hi, I am not sure [where to begin|if this is the right place]."),
    "disappointed": _all("I [expected|had hoped for] more from your shop.", "I must say I am [very|quite] disappointed."),
    "in a hurry": _all("Hi, I only have [a minute|two minutes|five minutes].", "Quick question, I have to [leave|catch a train] soon."),
}  # fmt: skip
# By the issue's label: what the customer says, with {it} the product.
_ISSUES = {
    "dead": _all("My {it} does not turn on [any more|at all].", "I press the switch on my {it} and [nothing happens|it stays dark]."),
    "turns_off": _all("My {it} turns itself off after [two|three|five] minutes.", "The {it} starts fine, and then it [just stops|turns off]."),
    "noise": _all("My {it} [suddenly|now] makes a loud [rattling|humming|grinding] noise.", "The {it} has become very loud since [Monday|last week]."),
    "hot": _all("My {it} gets [very hot|far too hot] when I use it.", "After a few minutes I can hardly touch the {it}."),
    "smell": _all("My {it} smells of burning plastic.", "There is a burning smell [when I use|coming from] the {it}."),
    "button": _all("A button on my {it} is stuck.", "One of the buttons of the {it} [does not move|cannot be pressed] any more."),
    "cracked": _all("My new {it} arrived with a crack in the case.", "I opened the box, and the case of the {it} [is|was] cracked."),
    "scratched": _all("I bought a new {it}, and it is full of scratches.", "The {it} was sold as new, but it [looks|is clearly] used."),
    "wrong_color": _all("My {it} came in the wrong color.", "I ordered a [black|white|red] {it}, and you sent me a [gray|blue|green] one."),
    "wrong_model": _all("I got another {it} than the one I ordered.", "You sent me the wrong model of {it}."),
    "part_missing": _all("A part is missing from the box of my {it}.", "I unpacked my {it}, and [one part|a cable|a small part] is not there."),
    "wrong_plug": _all("The plug of my {it} does not fit my sockets.", "I cannot plug in the {it}, the plug is a foreign one."),
    "manual": _all("The manual of my {it} is in a language I cannot read.", "I cannot read the manual that came with the {it}."),
    "late": _all("My {it} should have been here a week ago.", "I am still waiting for my {it}, and it is a week late."),
    "not_there": _all("My {it} is marked as delivered, but it [never came|is not here].", "The tracking says the {it} was delivered, and I have nothing."),
    "twice": _all("You sent me the {it} twice and charged me for both.", "Two parcels came, each with a {it}, and I paid for both."),
    "price": _all("I bought a {it}, and the next day it was cheaper.", "The price of the {it} went down one day after my order."),
    "refund": _all("I sent my {it} back weeks ago and have no money yet.", "I am still waiting for the refund for the {it}."),
    "charged": _all("You charged me more for the {it} than the order said.", "My bank shows a higher price for the {it} than my order."),
    "changed_mind": _all("I do not want the {it} any more.", "How do I send back a {it} that I no longer want?"),
    "warranty": _all("My {it} fell from the table. Does the warranty cover that?", "Is a fall from the table covered by the warranty of the {it}?"),
    "repair": _all("My {it} came back from repair with the same fault.", "You repaired my {it}, and it [still has|has] the same problem."),
    "receipt": _all("My {it} needs a repair, but I have lost the receipt.", "Can you repair a {it} if I have no receipt any more?"),
    "setup": _all("I do not get through the first setup of my {it}.", "The setup of my new {it} stops [halfway|at the second step]."),
}  # fmt: skip
_SORRY = _all("I am sorry [about that|to hear that].", "Thank you for [telling us|your message].", "That [should not|must not] happen, I am sorry.",
              "I understand, and I [will|want to] help.")  # fmt: skip
# What the assistant asks and the customer answers.
_QUESTIONS = {
    "order": (_all("[Could you tell me|What is|May I have] your order number?"),
              _all("It is {number}.", "It is [number|order] {number}.", "My order number is {number}.")),
    "when": (_all("When did you [buy|order] the {it}?", "On what day did you order it?"),
             _all("On {month} {day}.", "I think it was {month} {day}.", "It was in {month}.")),
    "where": (_all("Did you [buy|order] it [on our website|online] or in a shop?"),
              _all("[Online|On your website].", "In your shop [in the station|on the main street|near the market].")),
    "tried": (_all("Have you [tried anything|done anything about it] so far?", "What have you tried so far?"),
              _all("[I|Yes, I] asked a [friend|neighbor], but that did not help.", "[Nothing|Not much] yet.",
                   "I [looked|searched] [in the manual|on your website] and found nothing.")),
    "photo": (_all("Can you send us a photo of [the box|it|the label]?"),
              _all("Yes, I [have just sent|am sending] it.", "I will [take|send] one [tonight|tomorrow|now].")),
    "mail": (_all("Is your address still [the same|the one in your account]?"),
             _all("Yes, it is.", "Yes, [nothing has changed|that is right].", "No, I moved [in {month}|last month]. The new one is in my account.")),
    "serial": (_all("[Could you read me|What is] the number on the label [below|at the back]?"),
               _all("It [says|is] {serial}.", "The label says {serial}.")),
    "long": (_all("[How long|Since when] have you had this problem?"),
             _all("[For|About] {day} days.", "Since [Monday|Tuesday|Friday|Sunday|yesterday].")),
}  # fmt: skip
# The issues that make no sense of a question.
_AWAY = ("late", "not_there", "price", "refund", "charged")
_NO_FAULT = (*_AWAY, "cracked", "scratched", "wrong_color", "wrong_model", "part_missing", "wrong_plug", "manual", "twice",
             "changed_mind", "warranty", "receipt")  # fmt: skip
_POINTLESS = {"photo": _AWAY, "serial": _AWAY, "long": _NO_FAULT, "tried": _NO_FAULT}

# How it ends: the customer's words, then the assistant's.
_OUTCOMES = {
    "solved": (_all("[All right|Okay], what can be done?", "And what happens now?"),
               _all("[I have put it right in our system|It is done]: [a new one is on its way|the money will be back in {day} days|you get a new one tomorrow]. Is all well now?",
                    "I have [solved|settled] it for you, with case {number}, at no cost."),
               _all("[Perfect|Great], thank you. That solves it.", "Yes, it works now. Thank you!"),
               _all("I am glad to hear that. [Have a nice day|Goodbye]!", "You are welcome. Enjoy your {it}!")),
    "answer_later": (_all("[All right|Okay], what can be done?", "And what happens now?"),
                     _all("I am opening a case for you. Its number is {number}.", "I have to ask our [workshop|office] first, so I open case {number}."),
                     _all("When will I hear from you?", "[Okay|Fine], I will wait for your answer."),
                     _all("You will get an answer by email within {day} days.", "We will write you an email [this week|by {day} {month}]. Goodbye!")),
    "person": (_all("Can I talk to a [person|human]?", "I would like to talk to [somebody|a real person]."),
               _all("Of course, I am passing this chat on to a colleague.", "Yes. A colleague of mine will take over."),
               _all("Do I have to [say|tell] it all again?", "[Good|Fine], thank you."),
               _all("Here is what I tell my colleague: {it}, order {number}, still open. One moment, please.",
                    "I have written a short note about your {it} and order {number}. My colleague is with you in a moment.")),
    "declined": (_all("I want my money back, all of it.", "I want a new one, [today|for free]."),
                 _all("I am sorry, that is not possible, as [the time for it is over|our rules do not cover this].",
                      "I am afraid I am not allowed to do that, because [more than {day} weeks have passed|the warranty does not cover it]."),
                 _all("[So what|What else] can you do?", "Is there nothing at all?"),
                 _all("I can offer you {day} percent off your next order.", "I can offer you a repair at half the price.")),
    "more_needed": (_all("What do you need from me?", "So what do we need?"),
                    _all("We need the number on the [bill|label|box]. It has {day} digits.", "Please look for the [bill|delivery note] first. It came with order {number}."),
                    _all("I have to look for it [at home|first]. I will be back.", "It is not here. I will [come back|write again] [tomorrow|tonight|later]."),
                    _all("[No problem|That is fine]. Your case is {number}, and we go on from there.", "Take your time. Just give us case {number} [then|when you are back].")),
    "unhappy": (_all("[And that is all|Is that all] you can do?", "So you will not help me."),
                _all("I am sorry, at the moment I can only [note it|offer a repair] under {number}.", "I know this is not what you had hoped for."),
                _all("Then I will never buy [here|from you] again.", "That is [bad|poor] service. I am leaving."),
                _all("I am sorry. You can still write to our office about case {number}.",
                     "I am sorry to hear that. You can still send the {it} back within {day} days.")),
}  # fmt: skip
_NAMES = _all("My name is {name}.", "This is {name}.", "I am {name}, by the way.")
_MONTHS = "January February March April May June July August September October November December".split()
_PAIRS = ("headphones", "scissors", "earphones", "gloves", "trousers", "glasses")
_VOWELS = "aeiou"


def call(number: int, factors: Mapping[str, Any]) -> Chat:
    """A chat of `length` turns (4 to 12), first the customer (user), last the assistant.

    factors: labels of `product`, `issue`, `mood`, `outcome`, `customer` and `length`, as far as they are there. An
    issue or outcome that is not known here is told as it is written.
    """
    dice = Random(number)
    product = str(factors.get("product", "order"))
    words = {
        "it": f"pair of {product}" if product in _PAIRS else product, "number": str(dice.randrange(10_000, 100_000)), "day": str(dice.randrange(3, 29)),
        "month": dice.choice(_MONTHS), "name": str(factors.get("customer", "")),
        "serial": "".join(dice.choice("ABCDEFGHKLMNPRST") for _ in range(2)) + str(dice.randrange(1000, 10_000)),
    }  # fmt: skip

    def say(options: tuple[str, ...]) -> str:
        text = dice.choice(options).format(**words)
        return text.replace(f" a {words['it']}", f" an {words['it']}") if words["it"][0] in _VOWELS else text

    length = str(factors.get("length", "6"))
    pairs = max(2, min(6, int(length) // 2)) if length.isdigit() else 3
    issue = str(factors.get("issue", ""))
    problem = say(_ISSUES[issue]) if issue in _ISSUES else capital(f"it is about this: {issue or 'an order'}.")
    mood = _MOODS.get(str(factors.get("mood", "")), _MOODS["calm"])
    first = [say(mood), problem] + ([say(_NAMES)] if words["name"] else [])
    wish, offer, reply, last = _OUTCOMES.get(str(factors.get("outcome", "")), _OUTCOMES["solved"])
    turns = [" ".join(first)]
    if pairs == 2:
        turns += [f"{say(_SORRY)} {say(offer)}", say(reply), say(last)]
    else:
        more = [key for key in _QUESTIONS if key != "order" and issue not in _POINTLESS.get(key, ())]
        for key in ["order", *dice.sample(more, pairs - 3)]:
            question, answer = _QUESTIONS[key]
            sorry = f"{say(_SORRY)} " if len(turns) == 1 else dice.choice(("", "Thank you. ", "I see. "))
            turns += [sorry + say(question), say(answer)]
        turns[-1] += f" {say(wish)}"
        turns += [say(offer), say(reply), say(last)]
    return [(("user", "assistant")[k % 2], text) for k, text in enumerate(turns)]
