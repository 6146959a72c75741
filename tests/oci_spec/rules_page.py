"""docs/rules.md: every rule by name, from the docstrings. `python -m tests.oci_spec.rules_page` writes it."""

import importlib
import inspect
from pathlib import Path

from runtime.reference.rules import HOST, LATER, MODULES, OTHERS, SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
TOP = """# Rules

The rules that `ocirun validate` names, and what each requires. `create` and `run` apply all but the advice, and refuse a config
with an error before anything is made. Generated from the docstrings by `python -m tests.oci_spec.rules_page`.

| rule | severity | meaning |
|---|---|---|
"""


def rules(module):
    """(name, severity, section, requirement) of the rules of a module of oci_spec.rules."""
    for name, function in vars(importlib.import_module(f"oci_spec.rules.{module}")).items():
        doc = getattr(function, "__doc__", None) or ""
        section, _, requirement = doc.partition(": ")
        if ".md#" in section and function.__module__ == f"oci_spec.rules.{module}":
            yield name, severity(function), section, " ".join(requirement.split())


def severity(function):
    source = inspect.getsource(function)
    source += (
        inspect.getsource(importlib.import_module(function.__module__)._faulty_ranges) if "_faulty" in source else ""
    )
    source += '"warning"' if "_unknown(" in source else ""
    return " or ".join(word for word in ("error", "warning") if f'"{word}"' in source)


def page():
    lines = [TOP + "\n".join(f"| `{name}` | {how} | {meaning} |" for name, how, meaning in OTHERS) + "\n"]
    lines += ["## Schema\n", "| rule | severity | meaning |", "|---|---|---|"]
    lines += [f"| `schema:{keyword}` | error | {meaning} |" for keyword, meaning in SCHEMA.items()]
    lines += ["\n## The host\n", "| rule | severity | meaning |", "|---|---|---|"]
    for name, (module, check) in HOST.items():
        function = getattr(importlib.import_module(f"runtime.host.{module}"), check)
        lines.append(f"| `host:{name}` | {host_severity(function)} | {' '.join(function.__doc__.split())} |")
    lines += ["\n## The host and the kernel, in `validate` only\n", "| rule | severity | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {how} | {meaning} |" for name, (how, meaning) in LATER.items()]
    for module, title in MODULES.items():
        lines += [f"\n## {title}\n", "| rule | severity | section | requirement |", "|---|---|---|---|"]
        lines += [f"| `{name}` | {how} | {section} | {text} |" for name, how, section, text in rules(module)]
    return "\n".join(lines) + "\n"


def host_severity(function):
    return " or ".join(word for word in ("error", "warning") if f'"{word}"' in inspect.getsource(function))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
