"""spec + host facts → the operations that make a container.

Pure: makes no system call. `plan` reads as the table of contents of a container's start; each of the other modules has
one subject. Hot: imports only these.
"""

from . import identity, namespaces, ops, properties, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, Process, ProcessUser
    from runtime.shapes import Facts, PlanOptions

    Warnings = list[tuple[str, str]]

PEERS = ("run.oci.", "module.wasm.")  # annotations of crun's


def in_root(spec: "Config", facts: "Facts", options: "PlanOptions", warnings: "Warnings") -> "list[ops.Operation]":
    """Everything between attaching the root and entering it."""
    from . import devices, mounts, paths

    process = spec.get("process", {})
    plan = mounts.operations(spec, facts, warnings)
    plan += devices.operations(spec, facts, warnings)
    if process.get("terminal"):
        size = process.get("consoleSize", {})
        plan.append(ops.console(size.get("width", 0), size.get("height", 0), True, process["user"]["uid"]))
    plan += rootfs.create_hooks(spec, options.get("caller_environment", ()))
    plan += paths.operations(spec, facts, warnings)
    return plan


def without_process(facts: "Facts") -> "Process":
    """The process of a container that cannot be started (config.md#process): init waits without any rights."""
    ids: ProcessUser = {"uid": namespaces.first_id(facts["uid_map"]), "gid": namespaces.first_id(facts["gid_map"])}
    return {"cwd": "/", "user": ids}


def plan(spec: "Config", facts: "Facts", options: "PlanOptions") -> "tuple[list[ops.Operation], Warnings]":
    """The operations that `create` runs, in order, and warnings as (pointer, message).

    ``facts``: see `runtime.host.facts`. ``options``: id, no_pivot, no_new_keyring, preserve_fds, wait_start (False for
    `run`), seccomp (None or (program bytes, flags, listenerPath, listenerMetadata)), environment (variables that the runtime adds),
    caller_environment (for createContainer hooks without env). ``spec`` has passed oci_spec's check.
    """
    warnings: Warnings = []
    properties.check(spec, warnings)
    if any(name.startswith(PEERS) for name in spec.get("annotations", ())):
        from . import annotations

        annotations.check(spec, warnings)
    listed = namespaces.kinds(spec)
    mounted = "mount" in listed
    process = spec.get("process") or without_process(facts)
    operations = namespaces.operations(spec, facts)
    if spec["linux"].get("intelRdt"):
        operations.append(ops.resctrl(facts["resctrl"]))
    if spec["linux"].get("netDevices"):
        from . import net_devices

        operations += net_devices.operations(spec["linux"]["netDevices"], "network" in listed)
    operations += rootfs.attach(spec, facts, mounted)
    if mounted:
        operations += in_root(spec, facts, options, warnings)
    else:
        operations += rootfs.create_hooks(spec, options.get("caller_environment", ()))
    operations += rootfs.settings(spec, "pid" not in listed, properties.asks(process, properties.LABELS))
    operations += rootfs.enter(spec, options, mounted)
    options = {**options, "readonly_root": mounted and rootfs.read_only(spec), "make_cwd": True}
    operations += identity.before(process, spec["linux"], facts, options, "user" in listed)
    operations += identity.privileges(process, facts, bool(options.get("seccomp")), warnings)
    if not spec.get("process"):
        return operations + identity.waiting(options), warnings
    operations += identity.program(process, options.get("environment", ()))
    start_hooks = rootfs.start_hooks(spec.get("hooks", {}), options.get("seccomp"), warnings)
    operations += identity.ending(process, options, start_hooks)
    return operations, warnings
