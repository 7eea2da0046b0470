"""The page: it loads nothing from elsewhere, and in headless Chromium it writes, shows its bars, and fits a phone."""

import base64
import json
import re

import pytest

from tests.tsjax.serving.browser import CHROMIUM, Framed, open_in_chromium
from tests.tsjax.serving.live import NAME, live


def test_it_stands_alone(stories):
    status, headers, text = stories.ask("GET", "/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", text)
    assert " style=" not in text and not re.search(r"\son\w+=", text), "its own policy would not let them be"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and policy.count("sha256-") == 2


def looked_at(fragment: str, width: int, chat: bool = False) -> dict:
    frames: list[Framed] = []

    def wrap(app):
        frames.append(Framed(app, fragment, width))
        return frames[0]

    with live(chat=chat, wrap=wrap) as server:
        frames[0].load = server.engine.load
        dom = open_in_chromium(f"http://127.0.0.1:{server.port}/frame", "--dump-dom", "--window-size=1400,1600")
    found = re.search(r"<title>looked ([\w+/=]+)</title>", dom)
    assert found, dom[:500]
    return json.loads(base64.b64decode(found[1]))


@pytest.mark.peers
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_story_is_written_and_fits_the_screen(width):
    found = looked_at("#prompt=Bana%20di&run=1&seed=3&max_tokens=60", width)
    assert found["title"] == NAME and found["trouble"] == ""
    assert found["needed"] <= found["width"] <= width and found["wide"] == 0
    assert found["text"].startswith("Bana di") and 0 < found["given"] < found["tokens"] <= 60 + found["given"]
    assert f"{found['tokens'] - found['given']} tokens" in found["state"] and "seed 3" in found["state"]
    assert 10 <= len(found["bars"]) <= 11 and [kind for kind, _ in found["bars"]].count("bar own") == 1
    shares = [float(share.rstrip("%")) for _, share in found["bars"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.1


@pytest.mark.peers
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_chat_answers():
    found = looked_at("#prompt=bana%20di&run=1&seed=5&max_tokens=30", 360, chat=True)
    assert found["trouble"] == "" and found["wide"] == 0
    assert found["text"].startswith("bana di") and 0 < found["tokens"] <= 30 and len(found["bars"]) == 10
