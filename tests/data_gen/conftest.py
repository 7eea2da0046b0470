"""The command line for the tests of what is made for it."""

from tests.launch.conftest import tsjax  # noqa: F401
