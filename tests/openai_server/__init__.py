"""The fault-injecting server that the tests of `data_gen` and `eval` talk to instead of a vendor."""

from tests.openai_server.answers import Answer, key_of, offline_story, prompt_of, tokens
from tests.openai_server.ledger import Ledger, bill, read
from tests.openai_server.script import ANSWERS, BATCHES, FAULTS, REFUSALS, WIRE, Rule, Script, random_script
from tests.openai_server.server import StubServer

__all__ = [
    "ANSWERS", "BATCHES", "FAULTS", "REFUSALS", "WIRE", "Answer", "Ledger", "Rule", "Script", "StubServer", "bill",
    "key_of", "offline_story", "prompt_of", "random_script", "read", "tokens",
]  # fmt: skip
