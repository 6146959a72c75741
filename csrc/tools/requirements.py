"""Prints the requirements that pyproject.toml states, one a line, for the Makefile's calls of pip.

pip itself reads dependency groups only from 25.1 on, and the interpreters we support ship older ones.

Usage: requirements.py runtime|dev   (dev: the runtime's and the development group's)
"""

import pathlib
import sys
import tomllib

PROJECT = pathlib.Path(__file__).parents[2] / "pyproject.toml"


def requirements(kind: str) -> list[str]:
    """The requirement specifiers of `kind`."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    found: list[str] = project["project"]["dependencies"]
    return found + project["dependency-groups"]["dev"] if kind == "dev" else found


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
