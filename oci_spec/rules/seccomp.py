"""Rules on seccomp profiles."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config

# The actions that carry a number: an errno, or the message for the tracer.
WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")


def seccomp_errno_used(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: an error number needs an action that takes one."""
    seccomp = spec["linux"]["seccomp"]
    if "defaultErrnoRet" in seccomp and seccomp.get("defaultAction", WITH_NUMBER[0]) not in WITH_NUMBER:
        message = f"{seccomp.get('defaultAction')} gives no error number"
        yield "/linux/seccomp/defaultErrnoRet", "error", message, "remove defaultErrnoRet"
    for index, entry in enumerate(seccomp.get("syscalls", ())):
        if "errnoRet" in entry and entry["action"] not in WITH_NUMBER:
            pointer = f"/linux/seccomp/syscalls/{index}/errnoRet"
            yield pointer, "error", f"{entry['action']} gives no error number", "remove errnoRet"


def seccomp_argument_index(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: a system call has six arguments, numbered 0 to 5."""
    for index, entry in enumerate(spec["linux"]["seccomp"].get("syscalls", ())):
        for position, condition in enumerate(entry.get("args", ())):
            if condition["index"] > 5:
                pointer = f"/linux/seccomp/syscalls/{index}/args/{position}/index"
                yield (
                    pointer,
                    "error",
                    f"{condition['index']} is not the index of an argument, 0 to 5",
                    "arguments are counted from 0",
                )


def _has_listener(spec: "Config") -> bool:
    """An annotation of crun's has the same meaning as listenerPath."""
    return bool(
        spec["linux"]["seccomp"].get("listenerPath") or spec.get("annotations", {}).get("run.oci.seccomp.receiver")
    )


def seccomp_metadata_listener(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: listenerMetadata needs listenerPath."""
    seccomp = spec["linux"]["seccomp"]
    if seccomp.get("listenerMetadata") and not _has_listener(spec):
        yield (
            "/linux/seccomp/listenerPath",
            "error",
            "listenerMetadata needs listenerPath beside it",
            "add it, or leave listenerMetadata out",
        )


def seccomp_notify_listener(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: SCMP_ACT_NOTIFY needs listenerPath."""
    seccomp = spec["linux"]["seccomp"]
    if _has_listener(spec):
        return
    message = "SCMP_ACT_NOTIFY without listenerPath has nobody to ask"
    if seccomp.get("defaultAction") == "SCMP_ACT_NOTIFY":
        yield "/linux/seccomp/defaultAction", "error", message, "set listenerPath"
    for index, entry in enumerate(seccomp.get("syscalls", ())):
        if entry["action"] == "SCMP_ACT_NOTIFY":
            yield f"/linux/seccomp/syscalls/{index}/action", "error", message, "set listenerPath"


def seccomp_flag_of_notify(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs SCMP_ACT_NOTIFY."""
    seccomp = spec["linux"]["seccomp"]
    if any(
        "SCMP_ACT_NOTIFY" in (rule.get("defaultAction"), rule.get("action"))
        for rule in (seccomp, *seccomp.get("syscalls", ()))
    ):
        return
    for index, flag in enumerate(seccomp.get("flags", ())):
        if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
            yield (
                f"/linux/seccomp/flags/{index}",
                "warning",
                f"{flag} means nothing without SCMP_ACT_NOTIFY",
                "remove it",
            )


RULES: "tuple[Rule, ...]" = (
    seccomp_errno_used,
    seccomp_argument_index,
    seccomp_metadata_listener,
    seccomp_notify_listener,
    seccomp_flag_of_notify,
)
