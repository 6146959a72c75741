"""From a bundle to a created container.

What `delete` would need is on disk before the first thing is made; pid and start time before init is let go. Whatever
fails, everything that was made is unmade here; a SIGKILL leaves what `delete --force` can finish, and an init that ends
by itself because its parent is gone. Hot.
"""

import posix
import time

from runtime.cgroups import apply, layout, resources, tree
from runtime.errors import OcirunError, system_failure
from runtime.host import facts as host
from runtime.lifecycle import config, descriptors, publishing, state, store
from runtime.lifecycle.config import locate
from runtime.plan import encode, ops, plan
from runtime.plan.namespaces import kinds
from runtime.process import host_side, spawn
from runtime.process.handshake import Handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from oci_spec import Problem
    from runtime.cgroups.systemd.scope import Unit
    from runtime.plan.identity import Filter
    from runtime.shapes import CreateOptions, PlanOptions, Record

    Warn = Callable[[str], None]


class Making:
    """One container on its way: what was asked for, what is known of the host, what has been made so far."""

    def __init__(self, root: str, id: str, options: "CreateOptions", warn: "Warn") -> None:
        store.check_id(id)
        self.root = root
        self.id = id
        self.options = options
        self.warn = warn
        self.bundle: str = options["bundle"]
        self.kept = descriptors.kept_descriptors(options)
        self.data = options.get("config_data") or config.of_bundle(self.bundle, options.get("config"))
        self.spec = config.checked(self.data, self.bundle, self.warn_of)
        self.facts = host.read(self.spec, self.bundle)
        self.record: Record = {}
        self.handle = -1
        self.handshake: Handshake | None = None
        self.operations: list[ops.Operation] = []
        self.unit: Unit | None = None  # of the systemd cgroup manager

    def warn_of(self, problem: "Problem") -> None:
        self.warn(f"config.json:{problem.line}: {problem.pointer}: {config.words(problem)}")

    def warn_at(self, pointer: str, message: str) -> None:
        """A warning that names a place, with its line."""
        self.warn(str(locate(OcirunError(message, pointer), self.data)))

    @property
    def tolerant(self) -> bool:
        """Whether a cgroup that may not be written is done without (--rootless)."""
        chosen = self.options.get("rootless", "auto")
        return chosen == "true" or (chosen == "auto" and not self.facts["privileged"])

    @property
    def process(self) -> "dict[str, Any]":
        """{} where there is none: such a container can be made, but not be started."""
        process: dict[str, Any] = self.spec.get("process") or {}
        return process


def record_of(making: Making, places: "list[layout.Place]") -> "Record":
    """The record as it is before anything is made."""
    now = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
    hooks = making.spec.get("hooks") or {}
    record: Record = {
        "ociVersion": state.VERSION,
        "id": making.id,
        "status": state.CREATING,
        "pid": 0,
        "start_time": 0,
        "bundle": making.bundle,
        "rootfs": making.facts["rootfs"],
        "created": f"{seconds}.{now % 1_000_000_000:09d}Z",
        "annotations": making.spec.get("annotations") or {},
        "cgroups": tree.survey(places),
        "hooks": {kind: hooks[kind] for kind in ("poststart", "poststop") if hooks.get(kind)},
    }
    if making.unit:
        record["systemd"] = making.unit.note
    if "mount" not in kinds(making.spec):  # else setns(2) goes to what lies topmost on /, also with --no-pivot
        record["chroot"] = True
    return record


def place(making: Making, places: "list[layout.Place]") -> None:
    """Make the cgroups and write the limits, before anybody is in them."""
    wanted = making.spec["linux"].get("resources")
    if making.options.get("cgroup_manager") == "disabled":
        from runtime.cgroups import disabled

        for pointer, message in disabled.warnings(making.spec["linux"]):
            making.warn_at(pointer, message)
        return
    for pointer, message in layout.unplaced(making.spec["linux"].get("cgroupsPath"), places):
        making.warn_at(pointer, message)
    writes, device_filter = resources.writes(wanted, places)
    intent = making.record["cgroups"]
    if making.unit:
        assert making.handshake is not None
        making.unit.start(making.handshake.pid, intent)
        failures = making.unit.fill(intent, writes, device_filter, making.tolerant)
    else:
        failures = apply.build(places, intent, writes, device_filter, making.tolerant)
    if not (wanted or {}).get("devices"):  # the default ones are all that there is without root
        failures = [one for one in failures if one.pointer != "/linux/resources/devices"]
    if failures and (wanted or making.spec["linux"].get("cgroupsPath")):
        more = f" (and {len(failures) - 1} more hierarchies)" if len(failures) > 1 else ""
        making.warn_at(failures[0].pointer or "/linux", f"done without: {failures[0].message}{more}")


def delegate(making: Making, places: "list[layout.Place]") -> None:
    """Give the cgroup to the container's user, where the config asks for that (config-linux.md#cgroup-ownership)."""
    if not any(one["type"] == "cgroup" for one in making.spec["linux"].get("namespaces") or ()):
        return
    from runtime.cgroups import delegation

    if delegation.asked(making.spec, places):
        uid = int((making.process.get("user") or {}).get("uid") or 0)
        failure = delegation.give(making.record["cgroups"], uid, making.record["pid"])
        if failure:
            making.warn_at(failure.pointer or "", f"the container cannot divide its cgroup: {failure.message}")


def filter_of(spec: "dict[str, Any]", root: str, warn: "Callable[[str, str], None]") -> "Filter | None":
    """What linux.seccomp asks for. ``warn`` takes a pointer and words."""
    profile = spec["linux"].get("seccomp")
    if not profile:
        return None
    from runtime.process.seccomp import load

    return load(profile, root, lambda warning: warn("/linux/seccomp", warning))


def planned(making: Making, places: "list[layout.Place]", wait_start: bool) -> None:
    making.facts["placement"] = tree.placement_files(making.record["cgroups"])
    making.facts["cgroup_places"] = tree.visible(places, making.record["cgroups"])
    environment = descriptors.listen_environment(making.options)
    if making.record.get("notify"):
        from runtime.lifecycle import notify

        notify.make_directory(making.handle)
        environment.append(notify.ENVIRONMENT)
    options: PlanOptions = {
        "id": making.id,
        "no_pivot": making.options.get("no_pivot", False),
        "no_new_keyring": making.options.get("no_new_keyring", False),
        "preserve_fds": len(making.kept),
        "wait_start": wait_start,
        "environment": environment,
        "seccomp": filter_of(making.spec, making.root, making.warn_at),
    }
    if any(hook.get("env") is None for hook in (making.spec.get("hooks") or {}).get("createContainer") or ()):
        options["caller_environment"] = descriptors.caller_environment()
    making.operations, warnings = plan(making.spec, making.facts, options)
    for pointer, message in warnings:
        making.warn_at(pointer, message)


def launch(making: Making, wait_start: bool, stdio: "tuple[int, int, int]") -> None:
    """Start init."""
    listener = -1
    if wait_start:
        listener = spawn.listener(making.handle, store.START_SOCKET)
    debug = making.options.get("debug")
    flags = encode.TRACE if debug or making.options.get("trace") else 0
    try:
        data = encode.encode(making.operations, flags)
        pid, socket = spawn.start(data, making.root, extra=listener, stdio=stdio, kept=making.kept)
    except OSError as error:
        raise system_failure("start the init program", error) from None
    except ValueError as error:
        raise OcirunError(f"start the init program: {error}") from None
    finally:
        if listener >= 0:
            posix.close(listener)
    making.handshake = Handshake(pid, socket, making.operations)
    if debug:
        from runtime.lifecycle.trace import teller

        making.handshake.tell = teller(making.operations, debug)


def attend(making: Making, call: "Callable[..., object]", *arguments: "Any") -> None:
    """``call(*arguments)``, which may hang: what asks us to end is an error there, where there are hooks."""
    if making.spec.get("hooks"):
        from runtime.process import interruption

        interruption.attend(call, *arguments)
    else:
        call(*arguments)


def catch_signals(making: Making) -> None:
    """From now on what asks us to end waits for `attend`: before anything is made, so that it is always unmade."""
    if making.options.get("interruptible") and making.spec.get("hooks"):
        from runtime.process.interruption import catch

        catch()


def follow(making: Making) -> None:
    """Do the host's side until everything is in place."""
    assert making.handshake is not None
    if not making.handshake.follow(lambda handshake, operation: host_step(making, operation)):
        # Where to look when init was killed: the limit that it may not have fitted in.
        memory = (making.spec["linux"].get("resources") or {}).get("memory") or {}
        raise making.handshake.died("/linux/resources/memory/limit" if memory.get("limit", 0) > 0 else None)


def note_pid(making: Making) -> None:
    """pid and start time of init, as it stands now, into the record."""
    assert making.handshake is not None
    making.record["pid"] = making.handshake.pid
    making.record["start_time"] = state.start_time(making.handshake.pid) or 0


def host_step(making: Making, operation: "ops.Operation") -> None:
    """One operation of the host's side. Hooks find init's pid in the state, on standard input and on disk."""
    assert making.handshake is not None
    if operation[0] == ops.OP_CGROUPS:
        return  # `build` has not waited to be asked
    if operation[0] == ops.OP_HOOKS:
        from runtime.lifecycle.hooks import run

        note_pid(making)
        store.write_state(making.handle, making.record)
        kind = str(operation[4][0])
        run(making.spec["hooks"][kind], state.document(making.record, state.CREATING), f"/hooks/{kind}")
    elif operation[0] == ops.OP_STATE_DOCUMENT:
        from runtime.lifecycle.document import dumps

        note_pid(making)
        documents = [
            dumps(state.document(making.record, status)).encode() for status in (state.CREATING, state.CREATED)
        ]
        host_side.send_state(making.handshake, *documents)
    elif operation[0] == ops.OP_SECCOMP_NOTIFY:
        from runtime.lifecycle.seccomp_listener import send

        send(operation, making.record, state.CREATED, making.handshake.pid, making.handshake.take_listener())
    elif operation[0] == ops.OP_NET_DEVICE:
        from runtime.lifecycle.net_devices import take

        take(making, operation)
    else:
        host_side.perform(making.handshake, operation)


def places_of(making: Making) -> "list[layout.Place]":
    """Where the cgroups will be. With the systemd manager, after a talk with systemd; `making.unit` is there then."""
    manager = making.options.get("cgroup_manager")
    if manager == "systemd":
        from runtime.cgroups.systemd.scope import Unit

        making.unit = Unit(making.spec, making.id, making.facts)
        return making.unit.places
    if manager == "disabled":
        return []
    return layout.places(making.spec["linux"].get("cgroupsPath"), making.id, making.facts["cgroup"])


def build(making: Making, wait_start: bool, stdio: "tuple[int, int, int]" = (0, 1, 2)) -> None:
    """Make everything up to the state "created" on disk; init still waits to be let go. Undoes all on failure."""
    try:
        if not making.facts["privileged"]:
            from runtime.plan import rootless

            rootless.check(making.spec, making.facts)
        making.handle = store.reserve(making.root, making.id)
        places = places_of(making)
        making.record = record_of(making, places)
        target = descriptors.activation(making.options, b"NOTIFY_SOCKET")
        if target:
            from runtime.lifecycle import notify

            notify.note(making, target)
        store.write_state(making.handle, making.record)
        if making.spec["linux"].get("intelRdt"):
            from runtime.lifecycle import resctrl

            resctrl.place(making)
        early = making.tolerant and not making.unit  # which cgroups there can be is known only when they are made
        if early:
            place(making, places)
        planned(making, places, wait_start)
        launch(making, wait_start, stdio)
        if not early:
            place(making, places)  # while init makes its namespaces
        store.write_file(making.handle, store.CONFIG, making.data)
        attend(making, follow, making)
        note_pid(making)
        delegate(making, places)
        making.record["status"] = state.CREATED
        making.record["tail"] = encode.tail(making.operations) if wait_start else [0, []]
        store.write_state(making.handle, making.record)
    except BaseException as error:
        undo(making)
        if isinstance(error, OcirunError):
            locate(error, making.data)
        raise


def undo(making: Making) -> None:
    """Leave nothing of a container that could not be made; its poststop hooks run (runtime.md "Lifecycle")."""
    from runtime.lifecycle.delete import destroy

    if making.handle < 0:
        return
    if making.handshake:
        if making.record.get("net_devices"):
            from runtime.lifecycle.net_devices import give_back

            give_back(making.record, making.handle, making.warn)
        making.handshake.end()
        making.handshake.close()
        making.record["pid"] = 0
    if making.record:
        try:
            destroy(making.root, making.id, making.handle, making.record, making.warn, kill=False)
            if making.record["status"] == state.CREATING:
                write_trace(making)  # the operation that failed is its last line
        except OcirunError as error:
            making.warn(str(error))
    else:
        store.remove(making.root, making.id, making.handle)
    posix.close(making.handle)
    making.handle = -1


def write_trace(making: Making) -> None:
    if making.options.get("trace") and making.handshake:
        from runtime.lifecycle.trace import write

        write(making.options["trace"], making.operations, making.handshake.trace)


def settle(making: Making) -> None:
    """The container is made: what was moved into it is its own."""
    if making.record.get("net_devices"):
        from runtime.lifecycle.net_devices import settle

        try:
            settle(making)
        except BaseException:
            publishing.withdraw_pid(making.options)
            raise


def create(
    root: str, id: str, options: "CreateOptions", warn: "Warn", stdio: "tuple[int, int, int]" = (0, 1, 2)
) -> int:
    """Make a container from ``options["bundle"]`` (absolute); the pid of its init, which waits for `start`.

    Raises OcirunError; then nothing is left. Runtime-spec, runtime.md "Create".
    """
    making = Making(root, id, options, warn)
    config.check_terminal(making.process, options, True, making.data)
    catch_signals(making)
    build(making, wait_start=True, stdio=stdio)
    assert making.handshake is not None
    try:
        write_trace(making)
        attend(making, publishing.publish, options, making.handshake)
        making.handshake.release()
        publishing.publish_pid(options, making.handshake)
        settle(making)
    except BaseException:
        undo(making)
        raise
    making.handshake.close()
    posix.close(making.handle)
    return making.handshake.pid
