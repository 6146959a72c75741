"""Which of the platforms of an image this machine, or the caller, wants. Pure but for `own`."""

import posix

from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from oci_spec.types import Json

    # os, architecture, variant, as image-spec names them: linux, arm64, v8. No variant is "".
    Platform = tuple[str, str, str]

# uname(2)'s machine: Go's architecture and variant.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
_DEFAULTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}  # the variant that none means


def own() -> "Platform":
    """This machine's."""
    machine = posix.uname().machine
    return ("linux", *_MACHINES.get(machine, (machine, "")))


def parse(text: str) -> "Platform":
    """OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT. OcirunError for another form."""
    parts = text.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise OcirunError(f'--platform "{text}": must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/arm64')
    architecture = _MACHINES[parts[1]][0] if parts[1] in _MACHINES else parts[1]
    return parts[0], architecture, parts[2] if len(parts) == 3 else ""


def of(document: "Mapping[str, Json]") -> "Platform":
    """That of a descriptor's ``platform``, or of an image's config."""
    words = (document.get(name) for name in ("os", "architecture", "variant"))
    os, architecture, variant = (word if isinstance(word, str) else "" for word in words)
    return os, architecture, variant


def rank(wanted: "Platform", found: "Platform") -> int:
    """How well ``found`` runs where ``wanted`` does: 0 not at all, the higher the better."""
    if found[:2] != wanted[:2]:
        return 0
    default = _DEFAULTS.get(wanted[1], "")
    want, have = wanted[2] or default, found[2] or default
    if want == have:
        return 1000
    older = want[:1] == have[:1] == "v" and want[1:].isdigit() and have[1:].isdigit() and int(have[1:]) < int(want[1:])
    return 1 + int(have[1:4]) if older and wanted[1] != "arm64" else 0


def shown(platform: "Platform") -> str:
    return "/".join(filter(None, platform))
