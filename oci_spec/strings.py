"""Counts the different strings of a text, keys and values, without hashing them.

The hash seed of an image is in its file, so whoever writes a config can choose strings whose places in a dict or set collide:
85,000 of them took 12 s of a processor to read, and twice as many would take four times as long. Sorting cannot be slowed so.
"""


def different(text: str) -> int:
    """How many there are. One that is spelt in two ways counts twice."""
    import re

    # Goes from string to string, so a quote in a string begins none.
    strings = re.findall(r'"((?:[^"\\]|\\.)*+)"', text, re.DOTALL)
    strings.sort()
    return sum(not number or one != strings[number - 1] for number, one in enumerate(strings))
