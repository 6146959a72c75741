"""A bundle's files as its container has left them, beside the layers of its image. Nothing is mounted."""

import posix

from oci_spec import BadDocument, load, verify
from runtime.errors import OcirunError, WrongState, system_failure
from runtime.files import components
from runtime.host.container_tree import tree_of
from runtime.images.store import open_store
from runtime.images.store.stored import open_layers
from runtime.images.trees.difference import Difference
from runtime.images.trees.merged import Merged
from runtime.images.trees.tree import Tree
from runtime.lifecycle import config
from runtime.lifecycle.listing import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject
    from runtime.images.names import Path
    from runtime.images.trees.difference import Change
    from runtime.images.trees.owners import Form

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_ATTEMPTS = 20  # while the container removes files
_STILL = ("created", "paused", "stopped")  # states in which nothing writes


class Container:
    """``facts``: see `facts.facts_of`. ``own``: the files of the container alone, or all of them in a copy. Closed by `close`."""

    def __init__(self, path: str, facts: "JsonObject", form: "Form") -> None:
        self.path = path
        self.facts = facts
        self.form = form
        self.whole = bool(facts.get("copy"))
        self._store = open_store(str(facts["store"]), form, make=False)
        self._lock = self._store.lock("lock", exclusive=False)  # no layer is removed meanwhile
        layers: list[str] = facts["layers"]
        _, self._opened, implied = open_layers(self._store, layers)
        self._opened.append(posix.open(f"{path}/{'rootfs' if self.whole else 'upper'}", _DIRECTORY))
        self.own = Tree(self._opened[-1])
        self.layers = Merged(self._opened[:-1], implied, form)

    def changes(self) -> "list[Change]":
        """Raises OcirunError."""
        mounted = mount_points(self.path)
        for _ in range(_ATTEMPTS):
            try:
                return Difference(self.own, self.layers, self.form, self.whole, mounted).changes()
            except (FileNotFoundError, NotADirectoryError):
                self.own.forget()
            except OSError as error:
                raise system_failure(f"compare {self.path} with its image", error) from None
        raise OcirunError(f"the files of {self.path} change too quickly to be compared: pause the container first")

    def close(self) -> None:
        self.own.close()
        self.layers.close()
        for descriptor in (*self._opened, self._lock):
            posix.close(descriptor)


def open_container(path: str, facts: "JsonObject", form: "Form") -> Container:
    """Raises OcirunError if a layer is gone, or may not be read."""
    try:
        return Container(path, facts, form)
    except OSError as error:
        raise system_failure(f"read the files of {path} and its layers in {facts.get('store')}", error) from None


def mount_points(path: str) -> "list[Path]":
    """Where config.json mounts something, but for the root, links followed. None if it is no config any more."""
    try:
        spec = load(config.of_bundle(path, None))
    except (OcirunError, BadDocument):
        return []
    if not verify(spec):
        return []
    tree = tree_of(f"{path}/rootfs", spec.get("mounts", ()), path, exact=True)
    return [tuple(part.encode("utf-8", "surrogateescape") for part in components(each)) for each in tree.mounts]


def check_still(root: str, path: str) -> None:
    """WrongState if a container of the bundle, made with ``root``, runs."""
    if not posix.access(root, posix.F_OK):
        return
    for state in listing(root, lambda _: None):
        if state["bundle"] == path and state["status"] not in _STILL:
            raise WrongState(f'container "{state["id"]}" of {path} is {state["status"]}: pause or stop it first')
