"""Checks for what a model says about its answer, or instead of it."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from data_gen.draft import Draft
from data_gen.words import is_english
from tsjax.corpus.defects import END_MARK, MARKUP, is_cut
from tsjax.corpus.duplicates import normal_form

Run = Callable[[Draft], tuple[str, Any]]

_WORK = (
    r"(?:story|stories|tale|text|version|dialogue|conversation|chat|summary|paragraphs?|narrative|draft|answer|reply)"
)
_YES = r"(?:sure|certainly|of course|absolutely|gladly)(?: thing)?"
_LEAD = rf"(?:{_YES}|great|okay|ok|alright|all right|no problem)"
_PREAMBLE = re.compile(
    rf"(?:{_LEAD}[!,.:]*\s+(?:here(?:['’]s| is| are)|below is)\b[^\n.!?]{{0,60}}\b{_WORK}\b[^\n]{{0,80}}(?:\n|$)"
    rf"|(?:{_LEAD}[!,.:]*\s+)?(?:"
    rf"(?:here(?:['’]s| is| are| you go)|below is|i(?:['’]ve| have) written|i wrote)\b[^\n.!?]{{0,60}}\b{_WORK}\b"
    rf"(?:[^\n]{{0,120}}:|[!.]*[ \t]*(?:\n|$)|[^\n]{{0,60}}\b(?:you|your|requested|words|asked)\b)"
    rf"|here(?:['’]s| is) (?:one|another|it)\b[^\n.!?]{{0,30}}:"
    rf"|here(?: we go|(?:['’]s| is) one| it is| you (?:go|are))[!.:]*[ \t]*(?:\n|$)"
    rf"|this is\b[^\n.!?]{{0,60}}\b{_WORK}\b[^\n.!?]{{0,60}}(?::|\b(?:you asked|your?|requested)\b))"
    rf"|{_LEAD}[!,.:]*\s+here (?:we go|it is|you (?:go|are))\b)"
    rf"|{_LEAD}!?[ \t]*(?:\n|$)"
    rf"|{_YES}[!,.]\s+(?:here|below|i['’]d be|i would|i can|let me (?:tell|write))\b"
    rf"|i(?:['’]d| would) (?:be (?:very )?(?:happy|glad|delighted|pleased)|love) to "
    rf"(?:help|write|create|assist|share)\b[^\n]{{0,80}}"
    rf"(?:[!.:][ \t]*(?:\n|$)|[!.] here\b)"
    rf"|as (?:requested|you asked)\b|as an ai\b",
    re.I,
)
# Stars alone on a line part two scenes, so they are no heading but at either end.
_HEADING = re.compile(
    r"^[ \t]*#{1,6}[ \t]+\S|^[ \t]*(?:[-=_#~])(?:[ \t]*[-=*_#~]){2,}[ \t]*$"
    r"|^(?:paragraph|section|scene|part|chapter|page) (?:\d+|[ivx]+|one|two|three|four|five)[ \t]*(?:[:–—-]|$)",
    re.M | re.I,
)
_STARS = re.compile(r"\A(?:\*[ \t]*){3,}$|^(?:\*[ \t]*){3,}\Z", re.M)
_POINT = re.compile(
    r"^[ \t]*(?:[-*•‣◦][ \t]+|\d{1,2}[.)][ \t]+)\S", re.M
)  # of a list; a dash may begin dialogue elsewhere
# The Happy Dog. A capital on every word but the small ones, and at least two of them.
_CAPITALS = re.compile(
    r"(?!(?:Meet|Hello|Hi|Hey|Dear|Good|Happy Birthday|Oh|Poor|Mr|Mrs|Ms|Dr)\b)"
    r"(?:(?:The|A|An|My|One) )?[A-Z][\w'’-]*(?: (?:a|an|and|at|for|from|in|of|on|or|the|to|with|who))*"
    r"(?: [A-Z][\w'’-]*(?: (?:a|an|and|at|for|from|in|of|on|or|the|to|with|who))*)+[.!?]"
)
_LABEL = re.compile(
    r"(?:(?:the )?title|story|(?:short )?story (?:title|\d+)|chapter \w+|once upon a title)[ \t]*[:\-–—]", re.I
)
_NOTE = re.compile(
    r"^[(\[]*(?:total )?word ?count\b|^[(\[]*(?:about |approximately |total:? )?\d+ words\W*$|^[(\[]*words?(?: used)?[ \t]*[:=]"
    r"|^[(\[]*(?:required |key )?(?:words|features|vocabulary|summary)(?: used| included)?[ \t]*:"
    r"|^[(\[]*(?:the )?(?:\w+ )?words (?:that )?(?:i |are |were )?(?:used|included)\b(?! to\b)[^\n]{0,20}:"
    r"|^[(\[]*(?:i|we)(?:['’]ve| have)? (?:used|included) (?:all )?(?:of )?(?:the |your |these )?(?:three |3 )?"
    r"(?:required |given |requested )?words\b(?! to\b)"
    r"|^[(\[]*(?:author['’]s )?notes?[ \t]*:|^[(\[]*p\.? ?s\b[^\n]*\bstory\b",
    re.I | re.M,
)
_CLOSER = re.compile(
    r"^(?:i hope (?:you|this|that)\b[^\n]*\b(?:story|helps|meets|works)|let me know\b|would you like me\b"
    r"|feel free to\b|is there anything else\b"
    r"|would you like (?:another|me|more|to hear|a different)\b|please let me know\b"
    r"|(?:do|would) you (?:want|like)\b[^\n]*\b(?:story|version|changes?)\b|this (?:story|tale|version) (?:uses|includes"
    r"|contains|features|has all)\b|(?:the )?end of (?:the )?story\b[^\n]*\bwords\b)",
    re.I,
)  # fmt: skip
# [Your Name], [date], <name>, XXXX, {noun}, ____; the marks of chats are a mark.
_PLACEHOLDER = re.compile(
    r"\{\w*\}|\[(?!/?(?:INST|SYS)\])[^\]\n]{1,40}\]|\[insert\b[^\]\n]*\]|<[A-Za-z][\w' -]{0,30}>"
    r"|_{3,}", re.I
)  # fmt: skip
_CROSSES = re.compile(r"(?<![A-Za-z])X{3,}(?!L\b)")
_MARKED = ("<", "[", "---", "===", "***", "endoftext")  # one of them is in all that END_MARK finds
_CHAT_MARK = re.compile(r"\[/?(?:INST|SYS)\]", re.I)
_OBJECT = re.compile(r"[{,\[]\s*\\?[\"“]\w{1,30}\\?[\"”]\s*:")
_ROLE = re.compile(r"(?:user|assistant|system|human|ai|bot|customer|agent)[ \t]*:", re.I)
_SPEAKER = re.compile(r"^[ \t]*(?:user|assistant|system|human|ai|chatgpt)[ \t]*:", re.I | re.M)
_FIRST = re.compile(r"[\"'“‘«„¿¡(—–-]*\s*([^\W\d_])")
_NAMED = re.compile(r"([A-Z][\w'’-]{0,20}(?: [A-Z][\w'’-]{0,20})?)[ \t]*:\s")

_UNABLE = r"(?:am|['’]m) (?:unable|not able)(?: to)?|(?:must|have to) decline(?: to)?"
_CANNOT = rf"(?:(?:can['’]?t|cannot|can not|won['’]t|will not)(?: be able to)?|{_UNABLE})"
# "I cannot help it" and "I can't help smiling" are no refusals.
_DO = (
    r"(?:help(?= you| with| there| in |[.,!]|\s*$)|assist|write|create|fulfill?|generate|provide|comply|continue with"
    r"|produce|complete|do that|engage|support|discuss|tell (?:this|that|you (?:a|this|that)|a) (?:story|tale))"
)
_REFUSAL = re.compile(
    rf"\W*(?:(?:i(?:['’]m| am)|we(?:['’]re| are)|my)?\s*(?:so |very |really |truly )?"
    rf"(?:sorry|apologies|afraid)\b[^\n.!?]{{0,40}}?"
    rf"|i (?:apologi[sz]e|regret)\b[^\n.!?]{{0,40}}?|unfortunately,? |thank you[^\n.!?]{{0,40}}?)?"
    rf"\bi,? ?{_CANNOT} {_DO}\b"
    rf"|\W*(?:(?:i['’]?m|i am) )?(?:so |very )?sorry,? (?:but )?no\W*\Z"
    rf"|\W*as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    rf"|\W*(?:this|that|your) (?:request|prompt|content)\b[^\n.!?]{{0,60}}"
    rf"\b(?:violates?|against|inappropriate|not allowed|policy)\b",
    re.I,
)  # fmt: skip
_AI = re.compile(
    r"\bas an? (?:ai (?:language )?model|ai assistant|(?:ai|artificial intelligence)(?=,| i\b)"
    r"|large language model|language model)\b",
    re.I,
)
_MODELS = frozenset(("ai", "artificial", "model"))  # one of them is in all that _AI finds
_QUOTED = re.compile(r'\s*["“][^"”]*["”]\s*\Z')


def meta(templates: Iterable[str], language: str = "en") -> Run:
    """No words about the text: "meta:KIND" with the kinds

    preamble (Here is your story:), title (a short first line without end mark, or in title case), heading (markdown,
    rules, Paragraph 1:), list, note (word counts, lists of the words used), closer (I hope you like this story), case
    (all capitals, all small letters, a first letter that is small), fence, placeholder ([name], <name>, {noun}, XXXX),
    mark (end marks of other corpora, marks of chats), markup (<b>), json, role (User: within a text; names before
    turns), echo (words of the prompt's `templates` in the first lines). In a chat, where such talk may be meant, only
    those from fence on.
    """
    said = _fixed_parts(templates)
    english = is_english(language)

    def run(draft: Draft) -> tuple[str, Any]:
        kind = _about_chat(draft) if draft.turns is not None else _about_story(draft.prose, english)
        kind = kind or _anywhere(draft.prose)
        if not kind and said:
            start = f" {normal_form(draft.prose[:400])} "
            kind = "echo" if any(part in start for part in said) else ""
        return f"meta:{kind}" if kind else "", kind

    return run


def _fixed_parts(templates: Iterable[str]) -> list[str]:
    """The pieces of templates between fields and sentences, of six words or more, in normal form between spaces."""
    pieces = [piece for template in templates for piece in re.split(r"\{[^}]*\}|[.!?:;\n]", template)]
    return [f" {form} " for form in map(normal_form, pieces) if form.count(" ") >= 5]


def _about_story(text: str, english: bool) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return ""
    first, last = lines[0].strip(), lines[-1].strip()
    if _SPEAKER.search(text):
        return "role"
    if _PREAMBLE.match(text):
        return "preamble"
    if _HEADING.search(text) or (("***" in text or "* *" in text) and _STARS.search(text)):
        return "heading"
    if len(points := _POINT.findall(text)) > 1 and (english or not all(point.lstrip()[0] == "-" for point in points)):
        return "list"
    if _LABEL.match(first):
        return "title"
    if len(lines) > 1 and _is_title(first):
        return "title"
    if _NOTE.search(text):
        return "note"
    said = re.split(r"(?<=[.!?]) ", last[-200:])[-1]
    if _CLOSER.match(last) or ('"' not in said and _CLOSER.match(said)):
        return "closer"
    return _case(text, first)


def _is_title(first: str) -> bool:
    count = len(first.split())
    if count <= 10 and is_cut(first) and first[-1] not in ",;:-–—":
        return True
    return count <= 6 and _CAPITALS.fullmatch(first) is not None


def _case(text: str, first: str) -> str:
    start = _FIRST.match(first)
    return "case" if text[:200].isupper() or (start and start[1].islower()) else ""


def _about_chat(draft: Draft) -> str:
    turns = draft.turns or ()
    if any(_ROLE.match(turn.text) for turn in turns):
        return "role"
    named = [match[1] for turn in turns if (match := _NAMED.match(turn.text))]
    return "role" if len(named) > 1 and 2 * len(named) >= len(turns) and len(set(named)) <= 2 else ""


def _anywhere(text: str) -> str:
    if "```" in text:
        return "fence"
    if any(sign in text for sign in _MARKED) and (END_MARK.search(text) or _CHAT_MARK.search(text)):
        return "mark"
    if "<" in text and MARKUP.search(text):
        return "markup"
    if ("{" in text or "[" in text) and _OBJECT.search(text):
        return "json"
    if ("{" in text or "[" in text or "<" in text or "___" in text) and _PLACEHOLDER.search(text):
        return "placeholder"
    return "placeholder" if "XXX" in text and _CROSSES.search(text) else ""


def refusals(draft: Draft) -> tuple[str, Any]:
    """No refusal in place of the text, nor talk of language models: "refusal". In a chat it may be part of the play."""
    text = draft.prose
    match = None if _MODELS.isdisjoint(draft.seen) else _AI.search(text)
    # A text that begins with what somebody says in it tells a story, unless these quotes are all of it.
    if draft.turns is None and (text[:1] not in ('"', "“") or _QUOTED.match(text)):
        match = _REFUSAL.match(text[:300]) or match
    return "refusal" if match else "", match[0].strip()[:60] if match else ""
