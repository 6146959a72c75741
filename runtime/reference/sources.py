"""What our sources say: the docstrings of rules and operations. Cold.

The image and the archive of modules have code without docstrings, but the sources are there too.
"""

from functools import cache

OPERATIONS = ("entering", "filesystem", "process")


@cache
def docstrings(module: str) -> "dict[str, str]":
    """The functions of a module and their docstrings, each on one line."""
    import ast

    functions = [node for node in ast.parse(_source(module)).body if isinstance(node, ast.FunctionDef)]
    return {function.name: " ".join((ast.get_docstring(function) or "").split()) for function in functions}


def _source(name: str) -> str:
    module = __import__(name, None, None, ("",))
    loader = getattr(module, "__loader__", None)
    if loader is not None and hasattr(loader, "get_source"):
        return str(loader.get_source(name))
    with open(module.__file__ or "", encoding="utf-8") as file:  # from the archive, which has no sources
        return file.read()


def operations() -> "dict[str, str]":
    """The operations of a plan: name → the first sentence of what it does."""
    found: dict[str, str] = {}
    for module in OPERATIONS:
        found.update(docstrings(f"runtime.plan.operations.{module}"))
    return {name: text.partition(". ")[0] for name, text in found.items() if not name.startswith("_")}
