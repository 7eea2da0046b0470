"""A run that completions are made with."""

from tests.tsjax.conftest import finished as finished
