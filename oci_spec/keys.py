"""Counts the different keys of a text without hashing them.

The hash seed of an image is in its file, so whoever writes a config can choose keys whose places in a dict collide: 85,000
of them took 12 s of a processor to read, and twice as many would take four times as long. Sorting cannot be slowed so.
"""


def different(text: str) -> int:
    """How many there are. A key that is spelt in two ways counts twice."""
    import re

    # Goes from string to string, so a quote in a string begins none.
    string = re.compile(r'[^"]*+"((?:[^"\\]|\\.)*+)"(\s*+:)?', re.DOTALL)
    keys: list[str] = []
    at = 0
    while found := string.match(text, at):
        at = found.end()
        if found[2]:
            keys.append(found[1])
    keys.sort()
    return sum(not number or key != keys[number - 1] for number, key in enumerate(keys))
