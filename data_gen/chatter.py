"""Checks for what a model says about its answer, or instead of it."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from data_gen.draft import Draft
from tsjax.corpus.defects import END_MARK, is_cut
from tsjax.corpus.duplicates import normal_form

Run = Callable[[Draft], tuple[str, Any]]

_WORK = (
    r"(?:story|stories|tale|text|version|dialogue|conversation|chat|summary|paragraphs?|narrative|draft|answer|reply)"
)
_YES = r"(?:sure|certainly|of course|absolutely|gladly)(?: thing)?"
_PREAMBLE = re.compile(
    rf"(?:(?:{_YES}|great|okay|ok)[!,.:]*\s+)?(?:"
    rf"(?:here(?:['’]s| is| are| you go)|below is|i(?:['’]ve| have) written|i wrote)\b[^\n.!?]{{0,60}}\b{_WORK}\b"
    rf"(?:[^\n]{{0,120}}:|[^\n]{{0,80}}(?:\n|$)|[^\n]{{0,60}}\b(?:you|your|requested|words|asked)\b)"
    rf"|this is\b[^\n.!?]{{0,60}}\b{_WORK}\b[^\n.!?]{{0,60}}(?::|\b(?:you asked|your?|requested)\b))"
    rf"|{_YES}!?[ \t]*(?:\n|$)"
    rf"|{_YES}[!,.]\s+(?:here|below|i['’]d be|i would|i can|let me (?:tell|write))\b"
    rf"|as (?:requested|you asked)\b|as an ai\b",
    re.I,
)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+\S|^[ \t]*(?:[-=*_#~])(?:[ \t]*[-=*_#~]){2,}[ \t]*$", re.M)
_LABEL = re.compile(
    r"(?:(?:the )?title|story|(?:short )?story (?:title|\d+)|chapter \w+|once upon a title)[ \t]*[:\-–—]", re.I
)
_NOTE = re.compile(
    r"^[(\[]*(?:total )?word ?count\b|^[(\[]*(?:about |approximately |total:? )?\d+ words\W*$|^[(\[]*words?(?: used)?[ \t]*[:=]"
    r"|^[(\[]*(?:required |key )?(?:words|features|vocabulary|summary)(?: used| included)?[ \t]*:"
    r"|^[(\[]*(?:author['’]s )?notes?[ \t]*:|^[(\[]*p\.? ?s\b[^\n]*\bstory\b",
    re.I | re.M,
)
_CLOSER = re.compile(
    r"^(?:i hope (?:you|this|that)\b[^\n]*\b(?:story|helps|meets|works)|let me know\b|would you like me\b|feel free\b"
    r"|(?:do|would) you (?:want|like)\b[^\n]*\b(?:story|version|changes?)\b|this (?:story|tale|version) (?:uses|includes"
    r"|contains|features|has all)\b|(?:the )?end of (?:the )?story\b[^\n]*\bwords\b)",
    re.I,
)  # fmt: skip
_PLACEHOLDER = re.compile(
    r"\{\w*\}|\[(?:(?:\w+['’]s )?(?:name|noun|verb|adjective|word|topic|title)|insert\b[^\]\n]*)\]", re.I
)
_MARKED = ("<", "[", "---", "===", "***", "endoftext")  # one of them is in all that END_MARK finds
_ROLE = re.compile(r"(?:user|assistant|system|human|ai|bot|customer|agent)[ \t]*:", re.I)

_UNABLE = r"(?:am|['’]m) (?:unable|not able)(?: to)?|(?:must|have to) decline(?: to)?"
_CANNOT = rf"(?:can['’]?t|cannot|can not|won['’]t|will not|{_UNABLE})"
_DO = r"(?:help|assist|write|create|fulfill?|generate|provide|comply|continue|produce|complete|do that|engage|support|discuss)"
_REFUSAL = re.compile(
    rf"\W*(?:(?:i(?:['’]m| am)|we(?:['’]re| are)|my)?\s*(?:so |very |really |truly )?"
    rf"(?:sorry|apologies|afraid)\b[^\n.!?]{{0,40}}?"
    rf"|i (?:apologi[sz]e|regret)\b[^\n.!?]{{0,40}}?|unfortunately,? |thank you[^\n.!?]{{0,40}}?)?"
    rf"\bi,? ?{_CANNOT} {_DO}\b"
    rf"|\W*as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    rf"|\W*(?:this|that|your) (?:request|prompt|content)\b[^\n.!?]{{0,60}}"
    rf"\b(?:violates?|against|inappropriate|not allowed|policy)\b",
    re.I,
)  # fmt: skip
_AI = re.compile(r"\bas an? (?:ai (?:language )?model|ai assistant|large language model|language model)\b", re.I)


def meta(templates: Iterable[str]) -> Run:
    """No words about the text: "meta:KIND" with the kinds

    preamble (Here is your story:), title (a short first line without end mark), heading (markdown, rules), note (word
    counts, lists of the words used), closer (I hope you like this story), fence, placeholder ([name], {noun}), mark (end
    marks of other corpora), role (User: within a turn), echo (words of the prompt's `templates` in the first lines).
    In a chat, where such talk may be meant, only the last five.
    """
    said = _fixed_parts(templates)

    def run(draft: Draft) -> tuple[str, Any]:
        kind = _about_chat(draft) if draft.turns is not None else _about_story(draft.prose)
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


def _about_story(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return ""
    first, last = lines[0].strip(), lines[-1].strip()
    if _PREAMBLE.match(text):
        return "preamble"
    if _HEADING.search(text):
        return "heading"
    if _LABEL.match(first):
        return "title"
    if len(lines) > 1 and len(first.split()) <= 10 and is_cut(first) and first[-1] not in ",;:-–—":
        return "title"
    if _NOTE.search(text):
        return "note"
    return "closer" if _CLOSER.match(last) else ""


def _about_chat(draft: Draft) -> str:
    return "role" if any(_ROLE.match(turn.text) for turn in draft.turns or ()) else ""


def _anywhere(text: str) -> str:
    if "```" in text:
        return "fence"
    if ("{" in text or "[" in text) and _PLACEHOLDER.search(text):
        return "placeholder"
    return "mark" if any(sign in text for sign in _MARKED) and END_MARK.search(text) else ""


def refusals(draft: Draft) -> tuple[str, Any]:
    """No refusal in place of the text, nor talk of language models: "refusal". In a chat it may be part of the play."""
    text = draft.prose
    match = _AI.search(text) if draft.turns is not None else _REFUSAL.match(text[:300]) or _AI.search(text)
    return "refusal" if match else "", match[0].strip()[:60] if match else ""
