"""From a bundle to a created container, in stages; each makes a value that the next one takes.

    Request    the caller's request, checked                                runtime.lifecycle.request
    Facts      the host, and the caller's rights                            runtime.lifecycle.assembly
    Creation   the id is taken; the record names everything to be made
    plan       the operations, made while nothing runs yet                  runtime.lifecycle.assembly
    Handshake  init runs, up to `created`                                   runtime.process.spawn

Everything `delete` needs is on disk before the first thing is made, and the pid and start time before init goes on.
After a failure `runtime.lifecycle.undo` removes whatever was made. After a SIGKILL `delete --force` can remove the rest,
and init exits because its parent is gone. Hot.
"""

import posix
import time

from runtime.cgroups import apply, intent, layout, resources, tree
from runtime.errors import OcirunError
from runtime.lifecycle import assembly, descriptors, document, init_program, publishing, state, store
from runtime.lifecycle.config import locate
from runtime.lifecycle.operations import performer
from runtime.lifecycle.request import Request
from runtime.plan import encode
from runtime.plan.capabilities import SETS
from runtime.plan.namespaces import kinds
from runtime.plan.properties import JOINED_MAPS
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import Config, HookKind
    from runtime.cgroups.systemd.scope import Unit
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake, Perform
    from runtime.shapes import CreateOptions, Facts, Location, Record, Warn


class Creation:
    """A container whose id is taken: its directory, its record, and where its cgroups will be.

    ``unit``: with the systemd cgroup manager, else None. ``tolerant``: a cgroup that may not be written is skipped
    (--rootless).
    """

    __slots__ = ("facts", "handle", "locations", "prepared", "record", "request", "tolerant", "unit")

    def __init__(
        self,
        request: Request,
        facts: "Facts",
        handle: int,
        locations: "list[Location]",
        record: "Record",
        unit: "Unit | None",
    ) -> None:
        self.request = request
        self.facts = facts
        self.handle = handle
        self.locations = locations
        self.record = record
        self.prepared = False  # the next record is on disk
        self.unit = unit
        chosen = request.options.get("rootless", "auto")
        self.tolerant: bool = chosen == "true" or (chosen == "auto" and not facts["privileged"])


def create(
    root: str, id: str, options: "CreateOptions", warn: "Warn", stdio: "tuple[int, int, int]" = (0, 1, 2)
) -> int:
    """Make a container from ``options["bundle"]`` (absolute). Returns the pid of its init, which waits for `start`.

    Raises OcirunError; then nothing is left. Runtime-spec, runtime.md "Create".
    """
    request = Request(root, id, options, warn)
    request.check_terminal(detached=True)
    catch_signals(request)
    try:
        facts = assembly.read_host(request.spec, options["bundle"])
        creation, handshake = build(request, facts, wait_start=True, stdio=stdio)
        publish(creation, handshake)
    except OcirunError as error:
        locate(error, request.data)
        raise
    handshake.close()
    posix.close(creation.handle)
    return handshake.pid


def build(
    request: Request, facts: "Facts", wait_start: bool, stdio: "tuple[int, int, int]" = (0, 1, 2)
) -> "tuple[Creation, Handshake]":
    """Make everything up to the state "created" on disk; init still waits.

    Raises OcirunError; then nothing is left.
    """
    creation = reserve(request, facts)
    handshake: Handshake | None = None
    try:
        write_intent(creation)
        early = creation.tolerant and not creation.unit  # only the attempt shows which cgroups can be made
        if early:
            make_cgroups(creation)
        operations = plan_of(creation, wait_start)
        explainer = request.options.get("explainer")
        if explainer:
            operations = explainer.changed(operations)
        handshake = launch(creation, operations, wait_start, stdio)
        if not early:
            make_cgroups(creation, handshake.pid)  # while init makes its namespaces
        store.write_file(creation.handle, store.CONFIG, request.data)
        if not request.spec.get("hooks") and not request.spec["linux"].get("netDevices"):  # which write the record
            handshake.meanwhile = lambda: prepare_created(creation, handshake, wait_start)
        attend(request, lambda: follow(creation, handshake))
        if repeats_maps(request.spec):
            from runtime.lifecycle import joined_maps

            joined_maps.check(request.spec, handshake.pid, request.warn_at)
        write_created(creation, handshake, wait_start)
    except BaseException:
        from runtime.lifecycle.undo import undo

        undo(creation, handshake)
        raise
    return creation, handshake


def publish(creation: Creation, handshake: "Handshake") -> None:
    """Give the caller what it asked for, and let init go on to wait for `start`. Undoes everything on failure."""
    options = creation.request.options
    try:
        publishing.write_trace(options, handshake)
        attend(creation.request, lambda: publishing.publish(options, handshake))
        handshake.release()
        publishing.publish_pid(options, handshake)
        settle(creation)
    except BaseException:
        from runtime.lifecycle.undo import undo

        undo(creation, handshake)
        raise
    if handshake.inode and not opens_init(creation.request.spec):
        init_program.lend(creation.request.root, handshake.pid, handshake.inode)


def catch_signals(request: Request) -> None:
    """From now on the signals that end a process wait until `attend`, so that whatever is made can be removed.

    Only if the request allows it, and there are hooks, which may hang.
    """
    if request.options.get("interruptible") and request.spec.get("hooks"):
        from runtime.process.interruption import catch

        catch("; the container is removed")


def attend(request: Request, wait: "Callable[[], object]") -> None:
    """Call ``wait``, which waits for the container or its hooks. Raises Interrupted when a caught signal comes."""
    if request.spec.get("hooks"):
        from runtime.process import interruption

        interruption.attend(wait)
    else:
        wait()


def reserve(request: Request, facts: "Facts") -> Creation:
    """Take the id, and find out where the cgroups will be. With the systemd manager, systemd is asked.

    Raises OcirunError when the id or a cgroup is in use; then nothing is left.
    """
    handle = store.reserve(request.root, request.id)
    try:
        manager = request.options.get("cgroup_manager")
        unit = None
        if manager == "systemd":
            from runtime.cgroups.systemd.scope import Unit

            unit = Unit(request.spec["linux"], request.spec.get("annotations", {}), request.id, facts)
        locations = unit.locations if unit else assembly.cgroup_locations(request.spec, request.id, facts, manager)
        return Creation(request, facts, handle, locations, record_of(request, facts, locations, unit), unit)
    except BaseException:
        store.remove(request.root, request.id, handle)
        posix.close(handle)
        raise


def record_of(request: Request, facts: "Facts", locations: "list[Location]", unit: "Unit | None") -> "Record":
    """The record before anything is made. OcirunError when a cgroup is in use."""
    now = time.time_ns()
    # strftime would read the time zone.
    year, month, day, hour, minute, second, *_ = time.gmtime(now // 1_000_000_000)
    seconds = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    hooks = request.spec.get("hooks", {})
    late: tuple[HookKind, ...] = ("poststart", "poststop")
    record: Record = {
        "version": document.VERSION,
        "ociVersion": state.VERSION,
        "id": request.id,
        "status": state.CREATING,
        "pid": 0,
        "start_time": 0,
        "bundle": request.options["bundle"],
        "rootfs": facts["rootfs"],
        "created": f"{seconds}.{now % 1_000_000_000:09d}Z",
        "annotations": request.spec.get("annotations") or {},
        "cgroups": tree.survey(locations),
        "hooks": {kind: hooks[kind] for kind in late if hooks.get(kind)},
    }
    if unit:
        record["systemd"] = unit.row
    if "mount" not in kinds(request.spec):  # otherwise setns(2) enters the topmost mount at /, also with --no-pivot
        record["chroot"] = True
    return record


def write_intent(creation: Creation) -> None:
    """Write the record before making anything that it names. Raises OcirunError."""
    request = creation.request
    target = descriptors.activation(request.options, b"NOTIFY_SOCKET")
    if target:
        from runtime.lifecycle import notify

        notify.note(creation.record, target, request.spec, request.warn)
    store.write_state(creation.handle, creation.record)
    wanted = request.spec["linux"].get("intelRdt")
    if wanted:
        from runtime.lifecycle import resctrl

        resctrl.make_group(creation.handle, creation.record, wanted)


def make_cgroups(creation: Creation, init: int = 0) -> None:
    """Make the cgroups and write the limits, while they are still empty. ``init``: its pid, which systemd moves into the unit.

    OcirunError when a required cgroup fails; a cgroup that the container can do without is a warning.
    """
    linux, warn_at = creation.request.spec["linux"], creation.request.warn_at
    wanted = linux.get("resources")
    if creation.request.options.get("cgroup_manager") == "disabled":
        from runtime.cgroups import disabled

        for pointer, message in disabled.warnings(linux):
            warn_at(pointer, message)
        return
    if layout.is_ignored(linux.get("cgroupsPath"), creation.locations):
        warn_at(intent.POINTER, layout.INVISIBLE)
    writes, device_filter = resources.writes(wanted, creation.locations)
    rows = creation.record["cgroups"]
    if creation.unit:
        creation.unit.start(init, creation.record)
        failures = creation.unit.fill(rows, writes, device_filter, creation.tolerant)
    else:
        failures = apply.build(creation.locations, rows, writes, device_filter, creation.tolerant)
    if not (wanted or {}).get("devices"):  # without root, only the default rules can be had
        failures = [failure for failure in failures if failure.pointer != "/linux/resources/devices"]
    if failures and (wanted or linux.get("cgroupsPath")):
        more = f" (and {len(failures) - 1} more hierarchies)" if len(failures) > 1 else ""
        warn_at(failures[0].pointer or "/linux", f"done without: {failures[0].message}{more}")


def plan_of(creation: Creation, wait_start: bool) -> "list[Operation]":
    """The operations for init. InvalidConfig where there can be no plan."""
    request, facts, record = creation.request, creation.facts, creation.record
    spec = request.spec
    cgroups = intent.placement_files(record["cgroups"]), intent.visible(creation.locations, record["cgroups"])
    environment = descriptors.listen_environment(request.options)
    if record.get("notify"):
        from runtime.lifecycle import notify

        notify.make_directory(creation.handle)
        environment.append(notify.ENVIRONMENT)
        spec = notify.with_mount(spec, request.root, request.id)
    if "resctrl" in record:
        facts["resctrl"] = record["resctrl"]["tasks"]
    seccomp = assembly.seccomp_filter(spec, request.root, request.warn_at)

    def warn_at(pointer: str, message: str) -> None:
        if message != JOINED_MAPS:  # said once init has joined, if the maps are others
            request.warn_at(pointer, message)

    options = assembly.plan_options(request.id, request.options, request.kept, seccomp, wait_start)
    options["environment"] = environment
    if any(hook.get("env") is None for hook in (spec.get("hooks") or {}).get("createContainer") or ()):
        options["caller_environment"] = descriptors.caller_environment()
    return assembly.operations(spec, facts, cgroups, options, warn_at)


def repeats_maps(spec: "Config") -> bool:
    """Whether the user namespace is joined, and id maps are given all the same."""
    linux = spec["linux"]
    given = linux.get("uidMappings") or linux.get("gidMappings")
    return bool(given and kinds(spec).get("user", ("", None))[1])


def launch(
    creation: Creation, operations: "list[Operation]", wait_start: bool, stdio: "tuple[int, int, int]"
) -> "Handshake":
    """Start init. OcirunError when it cannot be started; OSError from the start socket."""
    request = creation.request
    listener = spawn.listener(creation.handle, store.START_SOCKET) if wait_start else -1
    debug = request.options.get("debug")
    flags = encode.TRACE if debug or request.options.get("trace") else 0
    try:
        shared = init_program.lent(request.root) if wait_start and not opens_init(request.spec) else None
        handshake = spawn.init(
            operations, flags, request.root, extra=listener, stdio=stdio, kept=request.kept, shared=shared
        )
        handshake.state = creation.record
        return handshake
    finally:
        if listener >= 0:
            posix.close(listener)


def opens_init(spec: "Config") -> bool:
    """Whether a process of the container can open the program of its waiting init, which is not dumpable.

    It could not write to it, but others, that run the same file, would see its locks, its mode and its attributes.
    """
    namespaces = spec["linux"].get("namespaces") or ()
    if any(namespace["type"] == "user" and not namespace.get("path") for namespace in namespaces):
        return False  # init was executed outside, and needs the capability there
    capabilities = spec.get("process", {}).get("capabilities", {})
    return any("CAP_SYS_PTRACE" in capabilities.get(kind, ()) for kind in SETS)


def follow(creation: Creation, handshake: "Handshake") -> None:
    """Do the host's side of the plan, up to `created`. OcirunError for a failure on either side."""
    debug = creation.request.options.get("debug")
    if debug:
        from runtime.lifecycle.trace import teller

        handshake.tell = teller(handshake.operations, debug)
    if not handshake.follow(host_side(creation)):
        # Init may have been killed for exceeding this limit.
        memory = (creation.request.spec["linux"].get("resources") or {}).get("memory") or {}
        raise handshake.died("/linux/resources/memory/limit" if memory.get("limit", 0) > 0 else None)


def host_side(creation: Creation) -> "Perform":
    """The function that performs the host's side of the plan."""
    hooks = creation.request.spec.get("hooks") or {}
    perform = performer(
        {"record": creation.record, "status": state.CREATING, "handle": creation.handle, "hooks": hooks}
    )
    explainer = creation.request.options.get("explainer")
    return explainer.performer(perform) if explainer else perform


def prepare_created(creation: Creation, handshake: "Handshake", wait_start: bool) -> None:
    """Write the record that `write_created` puts in its place. Now init is at work; then it will wait. Raises OcirunError."""
    record = creation.record
    state.note_pid(record, handshake.pid)
    record["tail"] = encode.tail(handshake.operations) if wait_start else {"first": 0, "operations": []}
    store.write_next_state(creation.handle, {**record, "status": state.CREATED})
    creation.prepared = True


def write_created(creation: Creation, handshake: "Handshake", wait_start: bool) -> None:
    """Write the record of a created container. Raises OcirunError."""
    if not creation.prepared:  # also without a pid namespace of its own
        prepare_created(creation, handshake, wait_start)
    if creation.unit:
        creation.unit.finish()
    delegate(creation)
    creation.record["status"] = state.CREATED
    store.take_next_state(creation.handle)


def delegate(creation: Creation) -> None:
    """Give the cgroup to the container's user, if the config asks for it (config-linux.md#cgroup-ownership)."""
    request = creation.request
    if not any(namespace["type"] == "cgroup" for namespace in request.spec["linux"].get("namespaces") or ()):
        return
    from runtime.cgroups import delegation

    if delegation.asked(request.spec["linux"], request.spec.get("mounts", []), creation.locations):
        uid = request.process["user"]["uid"] if request.process else 0
        failure = delegation.give(creation.record["cgroups"], uid, creation.record["pid"])
        if failure:
            request.warn_at(failure.pointer or "", f"the container cannot divide its cgroup: {failure.message}")


def settle(creation: Creation) -> None:
    """The container is made, and keeps the devices moved into it. Raises OcirunError."""
    if creation.record.get("net_devices"):
        from runtime.lifecycle.net_devices import settle

        settle(creation.record, creation.handle, creation.request.options)
