"""tsjax: the smallest language model, and the cheapest data, that can do this."""

__version__ = "0.1.0"
