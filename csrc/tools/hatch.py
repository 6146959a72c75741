"""The wheel's build hook: `make build` compiles, this file only says what goes where.

The Makefile is the one description of the build. The wheel holds the package with the init program
and the extension in it, and the launcher as a script, for any CPython from 3.11 on.
"""

import os
import pathlib
import subprocess
import sys
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LAUNCHER = "build/wheel/ocirun"


class MakeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles before the wheel's files are gathered."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run `make build` with this interpreter, which has cffi, and add what it made."""
        environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
        subprocess.run(
            ["make", "--no-print-directory", "build", f"BUILD_PYTHON={sys.executable}"],
            cwd=self.root,
            env=environment,
            check=True,
        )
        modules = pathlib.Path(self.root, "build/wheel/modules.bin")
        writer = [sys.executable, "csrc/tools/archive.py", ".", str(modules), "unchecked"]
        subprocess.run(writer, cwd=self.root, check=True)
        build_data["force_include"] = {str(modules): "runtime/modules.bin"}
        if version != "editable":  # then dev-mode-dirs has the directory
            build_data["force_include"]["runtime/import/ocirun"] = "ocirun"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {str(pathlib.Path(self.root, LAUNCHER)): "ocirun"}
