"""Types of what the modules here pass to each other. For type checkers only: import it under TYPE_CHECKING."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from oci_spec.types import IdMapping


class Users(TypedDict):
    """The image's accounts: the texts of its files, "" for one that it does not have."""

    passwd: str
    group: str


class Overlay(TypedDict):
    """The layers of a container's root. Paths are absolute."""

    lower: list[str]  # the top one first
    upper: str
    work: str
    user: bool  # in a user namespace: overlayfs keeps its notes in user.overlay.*


class Ids(TypedDict):
    """Who calls without root's rights, and the maps of the user namespace that the container gets."""

    uid: int
    gid: int
    uid_map: list[IdMapping]
    gid_map: list[IdMapping]
