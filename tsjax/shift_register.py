"""The random numbers of the CraftGPT machine: a 23-bit linear-feedback shift register."""

from tsjax.errors import UserError

BITS = 23  # of the register, and fraction bits of the machine's probabilities
SHIFTS = 256  # a draw
LEAST = 1 << BITS - 3  # 1/8: tokens other than the likeliest are drawn from this probability on


class ShiftRegister:
    """A Fibonacci register: bits 22 and 17 make the next one (sammyuri/craftgpt). UserError for a bad seed."""

    def __init__(self, seed: int = 1):
        if not 0 < seed < 1 << BITS:
            raise UserError(expected=f"a seed from 1 to {(1 << BITS) - 1}", found=str(seed), todo="give another one")
        self.state = seed

    def next(self) -> int:
        """An integer below 2^23, uniform but for zero."""
        for _ in range(SHIFTS):
            bit = (self.state >> 22 ^ self.state >> 17) & 1
            self.state = (self.state << 1 & (1 << BITS) - 1) + bit
        return self.state
