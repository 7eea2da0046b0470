import pytest

from tests.tsjax.serving.live import live


@pytest.fixture(scope="package")
def stories():
    with live() as server:
        yield server


@pytest.fixture(scope="package")
def chats():
    with live(chat=True) as server:
        yield server
