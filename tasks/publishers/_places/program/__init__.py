"""A program that is given the key: how it is run, and what its end means."""
