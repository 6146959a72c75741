"""Lays out what the launcher starts: steps of the Makefile that take more than one command.

Usage: stage.py version FILE       runtime/_build.py: version and commit, for --version
       stage.py tree DIRECTORY     links to the packages of this tree and of the running environment
       stage.py install DIRECTORY  copies of the packages of this tree
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tomllib

TREE = pathlib.Path(__file__).resolve().parents[2]
# Name → directory in the tree. `ocirun` is what a program imports; at the top its directory would be one more.
PACKAGES = {"oci_spec": "oci_spec", "runtime": "runtime", "ocirun": "runtime/import/ocirun"}


def version_module() -> str:
    """The source of runtime/_build.py; the commit is "unknown" outside of a clone."""
    project = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))
    commit = "unknown"
    if (TREE / ".git").exists():
        command = ["git", "-C", str(TREE), "rev-parse", "--short=12", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        commit = answer.stdout.strip() or commit
    version = project["project"]["version"]
    return f'"""Made by the build."""\n\nVERSION = "{version}"\nCOMMIT = "{commit}"\n'


def write_if_changed(path: pathlib.Path, text: str) -> None:
    """Keep the file's time if the text is the same, and never leave a partial file."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def link_tree(site: pathlib.Path) -> None:
    """Make `site` a directory of links: the tree's packages and the environment's.

    Installing links into the environment itself would let `pip uninstall` follow them into the tree.
    """
    wanted = {name: TREE / place for name, place in PACKAGES.items()}
    for entry in pathlib.Path(sysconfig.get_path("purelib")).iterdir():
        if entry.suffix != ".pth" and entry.name not in ("__pycache__", "pip", "setuptools"):
            wanted.setdefault(entry.name, entry)
    site.mkdir(parents=True, exist_ok=True)
    for link in site.iterdir():
        if link.is_symlink() and link.readlink() != wanted.get(link.name):
            link.unlink(missing_ok=True)
    for name, target in wanted.items():
        if not (site / name).is_symlink():
            (site / name).symlink_to(target)


def install(site: pathlib.Path) -> None:
    """Copy the packages afresh, so that no module of an older version stays."""
    site.mkdir(parents=True, exist_ok=True)
    for name, place in PACKAGES.items():
        shutil.rmtree(site / name, ignore_errors=True)
        shutil.copytree(TREE / place, site / name, ignore=shutil.ignore_patterns("__pycache__", "import"))


if __name__ == "__main__":
    verb, place = sys.argv[1], pathlib.Path(sys.argv[2])
    if verb == "version":
        write_if_changed(place, version_module())
    else:
        {"tree": link_tree, "install": install}[verb](place)
