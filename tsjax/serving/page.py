"""The page: one file, whose own script and style are all that a browser may run."""

import base64
import functools
import hashlib
import re
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


async def page(request: Request) -> Response:
    text, headers = _file()
    return HTMLResponse(text, headers=headers)


@functools.cache
def _file() -> tuple[str, dict[str, str]]:
    text = resources.files("tsjax.serving").joinpath("page.html").read_text("utf-8")
    hashes = {tag: _hash(re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)) for tag in ("script", "style")}
    policy = [
        "default-src 'none'", f"script-src {hashes['script']}", f"style-src {hashes['style']}", "connect-src 'self'",
        "img-src data:", "frame-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'",
    ]  # fmt: skip
    return text, {
        "content-security-policy": "; ".join(policy), "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    }  # fmt: skip


def _hash(found: re.Match[str] | None) -> str:
    assert found is not None, "page.html has one script and one style"
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
