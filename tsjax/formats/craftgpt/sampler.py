"""How the machine draws a token: a shift register and the eight likeliest tokens."""

from tsjax.formats.craftgpt.emulator import Emulator, top
from tsjax.shift_register import LEAST, ShiftRegister


def draw(packed: list[int], register: ShiftRegister) -> int:
    """One of `emulator.top`'s tokens: ranks 8 to 2 each with its probability if that is 1/8 or more, else rank 1."""
    left = register.next()
    for entry in reversed(packed[1:]):
        if entry >> 11 >= LEAST:
            left -= entry >> 11
            if left < 0:
                return entry & 2047
    return packed[0] & 2047


def reply(emulator: Emulator, ids: list[int], stops: tuple[int, ...], register: ShiftRegister) -> list[int]:
    """What the machine answers to more tokens of a chat, up to the first of `stops` or the end of the context."""
    for token in ids[:-1]:
        emulator.read(token)
    said: list[int] = []
    token = ids[-1]
    while not emulator.full:
        token = draw(top(emulator.read(token)), register)
        if token in stops:
            break
        said.append(token)
    return said
