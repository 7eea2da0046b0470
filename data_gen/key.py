"""The API key: out of the environment, into one header, and nowhere else."""

import os
import re

from tsjax.errors import UserError

PLACEHOLDER = "none"  # for servers that ask for no key; the SDK wants a string
ESCAPE = re.compile(rb"\\u00[2-7]")  # of a printable character in JSON, which may write any so
ODD = '"/\\'  # has shorter escapes too
SHORTEST = 8  # a shorter "key" is no secret, and would be found in innocent text
LOOKS_LIKE_KEY = re.compile(r"\b(sk|pk|key|org|proj)-[A-Za-z0-9_*.\-]{6,}|(?<=Bearer )\S+")


class Key:
    """`text` is the secret. Printing, formatting and pickling a Key do not show it."""

    __slots__ = ("_escaped", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._escaped = re.compile(b"".join(map(_forms, text)))

    @classmethod
    def read(cls, name: str | None) -> "Key":
        """The value of the environment variable; a placeholder where `name` is None. UserError where it is unset or odd."""
        if name is None:
            return cls(PLACEHOLDER)
        text = os.environ.get(name, "").strip()
        if not text:
            raise UserError(
                expected=f"an API key in the environment variable {name}",
                found="it is not set" if name not in os.environ else "it is empty",
                todo=f"export {name}=... (a key is read from the environment only), or name another variable",
            )
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise UserError(
                expected=f"one word of ASCII in the environment variable {name}",
                found="spaces, line breaks or other characters in it",
                todo=f"set {name} to the key alone",
            )
        return cls(text)

    def scrub(self, text: str) -> str:
        """The text without this key, and without what looks like a key: vendors echo parts of it in errors."""
        if len(self.text) >= SHORTEST:
            text = text.replace(self.text, "***")
        return LOOKS_LIKE_KEY.sub("***", text)

    def scrub_bytes(self, data: bytes) -> bytes:
        """The data without this key, also in JSON's escapes. Nothing else is touched: an answer is kept as it came."""
        if len(self.text) < SHORTEST:
            return data
        data = data.replace(self.text.encode(), b"***")
        escaped = ESCAPE.search(data) or not set(ODD).isdisjoint(self.text)
        return self._escaped.sub(b"***", data) if escaped else data

    def __repr__(self) -> str:
        return "Key(***)"

    def __reduce__(self):
        raise TypeError("a key is not pickled")


def _forms(character: str) -> bytes:
    """A pattern of a character as it stands, and as JSON may write it, even JSON in a string of JSON."""
    slashes = rb"\\{0,9}" if character in ODD else b""  # bounded: a flood of them must not take for ever
    return rb"(?:%b%b|\\{1,9}u00(?i:%02x))" % (slashes, re.escape(character.encode()), ord(character))
