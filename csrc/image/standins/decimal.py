"""In the place of the standard library's module, whose code is a shared object, or 250 kB of Python.

The module fractions needs the name of the type; nothing here makes a value of it.
"""


class Decimal:
    """No value has this type."""
