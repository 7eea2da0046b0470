"""The money of a run: every send reserves the most that it can cost, and settles to what it did.

Integer picodollars (1e-12 USD): a token at 0.075 USD per million is 75,000 of them, so nothing is ever rounded.
"""


class Budget:
    """`settled + doubtful + reserved <= cap` at every instant, as long as no answer costs more than its reserve.

    settled:  what vendors reported.
    doubtful: reserves of sends that may have been billed, though no answer with a bill came back.
    reserved: of sends on their way.
    """

    def __init__(self, cap: int | None, settled: int = 0, doubtful: int = 0, reserved: int = 0):
        self.cap, self.settled, self.doubtful, self.reserved = cap, settled, doubtful, reserved

    @property
    def committed(self) -> int:
        return self.settled + self.doubtful + self.reserved

    def reserve(self, amount: int) -> bool:
        """Takes `amount` from what is left; False, and nothing taken, where it would pass the cap."""
        if self.cap is not None and self.committed + amount > self.cap:
            return False
        self.reserved += amount
        return True

    def settle(self, reserved: int, cost: int = 0, doubt: int = 0) -> None:
        """Gives a reserve back and books what the send did cost, or may have."""
        self.reserved -= reserved
        self.settled += cost
        self.doubtful += doubt
