"""What tests of the report read with: a page as tags and text, and JSON that has no NaN."""

import json
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
EMPTY = {"circle", "line", "path", "polygon", "polyline", "rect"}  # of SVG, written <.../>


class Page(HTMLParser):
    """Fails where a tag is closed that is not the one open; keeps tags and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.ids, self.hrefs = [], [], [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids.add(dict(attrs).get("id"))
        if "href" in dict(attrs):
            self.hrefs.append(dict(attrs)["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in EMPTY, tag
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def said(self):
        return " ".join("".join(self.text).split())


def strict(report):
    return json.loads(json.dumps(report, allow_nan=False))
