"""Rules on the documents that a runtime writes: state and features."""

from oci_spec.rules.config import annotation_key_empty, oci_version_semver, semver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import JsonObject, State


def state_id_not_empty(spec: "State") -> "Iterator[Finding]":
    """runtime.md#state: the id is not empty."""
    if spec.get("id") == "":
        yield "/id", "error", "the id is empty", "give the container an id"


def state_pid_required(spec: "State") -> "Iterator[Finding]":
    """runtime.md#state: a created or running container on Linux has a pid."""
    if spec.get("status") in ("created", "running") and not spec.get("pid"):
        yield "/pid", "error", f"a container that is {spec['status']} has a pid", "write the pid of its first process"


def state_bundle_absolute(spec: "State") -> "Iterator[Finding]":
    """runtime.md#state: bundle is an absolute path."""
    if spec.get("bundle", "/")[:1] != "/":
        yield "/bundle", "error", f"{spec['bundle']!r} is not an absolute path", "begin it with /"


def features_versions_semver(spec: "JsonObject") -> "Iterator[Finding]":
    """features.md#specification-version: both bounds are SemVer 2.0.0 strings."""
    for name in ("ociVersionMin", "ociVersionMax"):
        if name in spec and semver(spec[name]) is None:
            yield f"/{name}", "error", f"{spec[name]!r} is not a SemVer 2.0.0 version", "write it like 1.3.0"


def features_versions_order(spec: "JsonObject") -> "Iterator[Finding]":
    """features.md#specification-version: the newest version is no older than the oldest."""
    oldest, newest = semver(spec.get("ociVersionMin", "")), semver(spec.get("ociVersionMax", ""))
    if oldest and newest and newest[:3] < oldest[:3]:
        message = f"{spec['ociVersionMax']} is older than ociVersionMin, {spec['ociVersionMin']}"
        yield "/ociVersionMax", "error", message, "exchange the two"


def features_flags_known(spec: "JsonObject") -> "Iterator[Finding]":
    """features-linux.md#seccomp: a supported filter flag is a known one."""
    seccomp = spec.get("linux", {}).get("seccomp", {})
    known = seccomp.get("knownFlags")
    for index, flag in enumerate(seccomp.get("supportedFlags", ())):
        if known is not None and flag not in known:
            pointer = f"/linux/seccomp/supportedFlags/{index}"
            yield pointer, "error", f"{flag} is supported but not in knownFlags", "add it to knownFlags"


STATE: "tuple[Rule, ...]" = (
    oci_version_semver,
    annotation_key_empty,
    state_id_not_empty,
    state_pid_required,
    state_bundle_absolute,
)
FEATURES: "tuple[Rule, ...]" = (
    annotation_key_empty,
    features_versions_semver,
    features_versions_order,
    features_flags_known,
)
