"""Decides by a seed."""

import random


class Draw(random.Random):
    """`oddness`: how much of what is odd this connection has. What is wrong with most of it gets nowhere."""

    def __init__(self, seed):
        super().__init__(seed)
        self.oddness = 0.0
        self.oddness = self.choice([0.0, 0.1, 0.1, 0.3, 1.0])

    def odd(self, part):
        """Whether something is odd that is so in this part of cases, where all is odd that may be."""
        return self.random() < part * self.oddness

    def pick(self, good, odd, part=0.3):
        """One of the good ones, or of the odd ones."""
        return self.choice(odd if self.odd(part) else good)
