"""The state side of `restore`: a container made by CRIU from its images, kept in the store as one made by `create`.

    Request    the bundle's config, checked; the images, opened; CRIU, asked            nothing is changed
    Creation   the id is taken; the record names everything to be made
    Service    init, in the cgroups and a mount namespace of its own, becomes CRIU
    notified   setup-namespaces: network and hooks; post-restore: the pid is on disk; then the processes go on

CRIU needs the root file system as a mount of its own. It is bound on ROOT/ID/criu-root, which only CRIU's mount namespace
shows: nothing of the host's mounts changes. Cold.
"""

import posix

from runtime import files
from runtime.cgroups.intent import POINTER, placement_files
from runtime.criu import messages
from runtime.criu.program import Criu
from runtime.criu.service import SOCKET, Service
from runtime.errors import OcirunError, system_failure
from runtime.kernel import CLONE_NEWNS, MS_SLAVE
from runtime.lifecycle import (
    assembly,
    cgroup_options,
    criu,
    criu_external,
    criu_images,
    network,
    notify,
    publishing,
    restrictions,
    state,
    store,
)
from runtime.lifecycle import create as creating
from runtime.lifecycle.config import locate
from runtime.lifecycle.delete import destroy
from runtime.lifecycle.hooks import run as run_hooks
from runtime.lifecycle.leftovers import remove_empty
from runtime.lifecycle.request import Request
from runtime.lifecycle.run import remove
from runtime.plan import namespaces, ops
from runtime.process import interruption, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, HookKind, Mount
    from runtime.lifecycle.create import Creation
    from runtime.process.handshake import Perform
    from runtime.shapes import RestoreOptions, Warn

LOG = "restore.log"
COUNTS = "stats-restore"  # among the images
HOOKS: "tuple[HookKind, ...]" = ("prestart", "createRuntime")
LEFT_OUT: "tuple[HookKind, ...]" = ("createContainer", "startContainer", "poststart")
# Types of mounts that are made as such where only mount points are wanted. In the place of the others, a tmpfs.
ORDINARY = ("proc", "sysfs")


def restore(root: str, id: str, options: "RestoreOptions", warn: "Warn") -> int:
    """Restore a container. Returns the exit status of its program (128 + N for a signal); 0 with ``detach``.

    Without ``detach`` the container is deleted when it has ended. OcirunError when it cannot be restored; then nothing is
    left.
    """
    criu.check_rights("restore")
    if options.get("no_pivot"):
        raise OcirunError("--no-pivot: CRIU cannot restore without pivot_root(2)")
    options["activation"] = False  # the program has been told long ago
    request = Request(root, id, options, warn)  # type: ignore[arg-type]  # the keys that it reads are there
    foreground = None
    opened: list[int] = []
    try:
        request.check_terminal(bool(options.get("detach")))
        criu_external.check(request.spec)
        restorer = Restorer(request, options, opened)
        if not options.get("detach"):
            from runtime.process.foreground import Foreground

            foreground = Foreground()
        if options.get("interruptible"):
            interruption.catch("; the container is removed")
        creation = creating.reserve(request, restorer.facts)
        with cgroup_options.Kept(root, warn):
            try:
                restorer.make(creation)
            except BaseException:
                restorer.undo(creation)
                raise
    except OcirunError as error:
        locate(error, request.data)
        raise
    finally:
        for descriptor in opened:
            posix.close(descriptor)
    posix.close(creation.handle)
    if foreground is None:
        interruption.release()
        return 0
    status = foreground.wait(creation.record["pid"], restorer.terminal)
    remove(creation)
    return status


class Restorer:
    """One restore. ``terminal``: the master end of the container's terminal, if it stays with us; else -1."""

    def __init__(self, request: Request, options: "RestoreOptions", opened: "list[int]") -> None:
        """Open and check all that is needed; ``opened`` gets the descriptors, which the caller closes. Raises OcirunError."""
        self.request = request
        self.options = options
        self.opened = opened
        self.spec = request.spec
        self.terminal = -1
        self.service: Service | None = None
        self.path = options["image_path"]
        opened.append(criu_images.open_directory("--image-path", self.path, make=False))
        if options.get("work_path"):
            self.path = options["work_path"]
            opened.append(criu_images.open_directory("--work-path", self.path, make=True, links=True))
        self.images, self.work = opened[0], opened[-1]
        criu_images.check_outputs(self.images, options["image_path"], COUNTS)
        criu_images.check_outputs(self.work, self.path, LOG)
        self.facts = assembly.read_host(request.spec, options["bundle"])
        self.namespaces = criu_external.open_namespaces(request.spec)
        opened += [descriptor for _, descriptor in self.namespaces]
        self.values = self.request_values()
        self.program = Criu(options.get("criu", ""), self.store(), self.images)
        self.program.require(self.values, ["lazy_pages"] * bool(options.get("lazy_pages")))
        for kind in LEFT_OUT:
            if (request.spec.get("hooks") or {}).get(kind):
                request.warn_at(f"/hooks/{kind}", "not run: a restored program is past them")

    def store(self) -> str:
        """A directory for `spawn.init`: that of the containers, if there is one already."""
        return self.request.root if posix.access(self.request.root, posix.F_OK) else "/run"

    def request_values(self) -> "dict[str, object]":
        """The options of CRIU, as far as they are known before anything is made. OcirunError for a bad flag."""
        options = self.options
        values = criu.common(options, self.request.spec, self.images, self.work)
        values |= {
            "log_file": LOG,
            "rst_sibling": True,
            "evasive_devices": True,
            "tcp_close": bool(options.get("tcp_close")),
        }
        for name in ("lsm_profile", "lsm_mount_context"):
            values[name] = options.get(name) or None
        inherited = criu_images.read_descriptors(self.images)
        inherited += [(name, SOCKET + 1 + number) for number, (name, _) in enumerate(self.namespaces)]
        values["inherit_fd"] = inherited
        values["join_ns"] = criu_external.joined_namespaces(self.request.spec)
        return values

    def make(self, creation: "Creation") -> None:
        """Everything from the record on. OcirunError when something fails; then call `undo`."""
        request, record, handle = self.request, creation.record, creation.handle
        record["restoring"] = True
        creating.write_intent(creation)
        store.write_file(handle, store.CONFIG, request.data)
        spec = request.spec
        notify.make_directory(handle)
        perform = creating.host_side(creation)
        creating.attend(request, lambda: make_mount_points(spec, creation, perform))
        if self.facts["gid_map"]:
            criu_images.open_to_group(self.images, self.facts["gid_map"][0]["hostID"])
        posix.mkdir(store.CRIU_ROOT, 0o700, dir_fd=handle)
        where = f"{request.root}/{request.id}/{store.CRIU_ROOT}"
        given = [descriptor for _, descriptor in self.namespaces]
        before = surroundings(creation, where)
        self.service = Service(self.program.path, request.root, before, given=given)
        creating.make_cgroups(creation, self.service.pid)
        self.service.follow(perform)
        bundle, rootfs = self.options["bundle"], self.facts["rootfs"]
        self.values["root"] = where
        self.values["work_dir_fd"] = self.reopen_work()
        self.spec = notify.with_mount(spec, request.root, request.id)  # the program may have been started with one
        self.values["ext_mnt"] = criu_external.restored_mounts(self.spec, rootfs, bundle, creation.locations)
        self.values["cg_root"] = cgroup_roots(self.service.pid)
        if self.options.get("debug"):
            self.options["debug"](f"{self.program.path} is asked for {self.values}")
        self.ask(creation, perform)
        self.finish(creation)

    def reopen_work(self) -> int:
        """The work directory as CRIU's mount namespace has it: CRIU mounts its own things there. Raises OcirunError."""
        assert self.service is not None
        path = f"/proc/{self.service.pid}/root{posix.readlink(f'/proc/self/fd/{self.work}')}"
        try:
            descriptor: int = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
        except OSError as error:
            raise system_failure(f"open {self.path} for CRIU", error) from None
        self.opened.append(descriptor)
        here, before = posix.fstat(descriptor), posix.fstat(self.work)
        if (here.st_dev, here.st_ino) != (before.st_dev, before.st_ino):
            raise OcirunError(f"{self.path} was replaced meanwhile")
        return descriptor

    def ask(self, creation: "Creation", perform: "Perform") -> None:
        """Let CRIU restore. OcirunError, with what its log says, when it fails."""
        service, failed = self.service, "nothing is left"
        assert service is not None
        work = self.work, self.path

        def talk() -> None:
            request = messages.request(messages.RESTORE, self.values)
            reply = service.ask(request, lambda *what: self.notified(creation, perform, *what))
            if not reply.success:
                raise criu.failure("restore", reply, work, LOG, failed)

        try:
            interruption.attend(talk)
        except OSError as error:
            raise criu.failure("restore", system_failure("talk to CRIU", error), work, LOG, failed) from None
        if creation.record["pid"] <= 0:
            raise OcirunError("restore: CRIU has not told the pid of the container's first process")

    def notified(self, creation: "Creation", perform: "Perform", script: str, pid: int, descriptor: int) -> None:
        """Do our part of the restore, while CRIU waits. Raises OcirunError."""
        record, request = creation.record, self.request
        if script == "setup-namespaces":
            state.note_pid(record, pid)
            store.write_state(creation.handle, record)
            network.prepare(creation, perform)
            hooks = request.spec.get("hooks") or {}
            for kind in HOOKS:
                if hooks.get(kind):
                    run_hooks(hooks[kind], state.document(record, state.CREATING), f"/hooks/{kind}")
        elif script == "post-restore":
            state.note_pid(record, pid)
            restrictions.apply(self.spec, creation, perform)
            if creation.unit:
                creation.unit.finish()
            creating.delegate(creation)
            record["status"] = state.CREATED
            record["tail"] = {"first": 0, "operations": []}
            store.write_state(creation.handle, record)
        elif script == "orphan-pts-master" and descriptor >= 0:
            if self.options.get("console_socket"):
                from runtime.process.console import send

                send(self.options["console_socket"], descriptor)
            elif self.terminal < 0:
                from runtime.process.terminal import prepare

                self.terminal = posix.dup(descriptor)
                prepare(self.terminal)

    def finish(self, creation: "Creation") -> None:
        """The container runs. Raises OcirunError."""
        assert self.service is not None
        self.service.close()
        remove_empty(creation.handle, store.CRIU_ROOT)
        del creation.record["restoring"]
        store.write_state(creation.handle, creation.record)
        if self.options.get("pid_file"):
            publishing.write_pid_file(self.options["pid_file"], creation.record["pid"])
        creating.settle(creation)

    def undo(self, creation: "Creation") -> None:
        """Remove all that was made. A failure here is a warning: the caller gets the first error."""
        request = self.request
        if self.service:
            self.service.end()
        if self.terminal >= 0:
            posix.close(self.terminal)
        try:
            destroy(request.root, request.id, creation.handle, creation.record, request.warn)
        except OcirunError as error:
            request.warn(str(error))
        posix.close(creation.handle)


def surroundings(creation: "Creation", where: str) -> "list[ops.Operation]":
    """What init does before it becomes CRIU: enter the cgroups, and bind the root in a mount namespace of its own."""
    linux = creation.request.spec["linux"]
    origin = POINTER if linux.get("cgroupsPath") else None
    placement = placement_files(creation.record["cgroups"])
    plan = namespaces.cgroups(placement, False, origin)
    if "resctrl" in creation.record:
        plan.append(ops.resctrl(creation.record["resctrl"]["tasks"]))
    plan += [ops.unshare(CLONE_NEWNS, None), ops.propagation(MS_SLAVE, None), ops.root("/", False, False)]
    plan.append(ops.bind(where, creation.facts["rootfs"], ops.BIND_REC, origin="/root/path"))
    if placement:
        plan.append(ops.enter_cgroups(origin))
    return plan


def make_mount_points(spec: "Config", creation: "Creation", perform: "Perform") -> None:
    """Make the mount points that the root file system lacks, as `create` does, in a mount namespace that ends with it.

    CRIU takes them for granted. Every mount is made, so that each mount point is made where it will be looked for: a new
    tmpfs in the place of the file systems that CRIU restores. Raises OcirunError.
    """
    from runtime.plan import mounts, rootfs

    facts = {**creation.facts, "new_user_namespace": False}
    entries = [stand_in(mount) for mount in spec.get("mounts", ()) if "remount" not in mount.get("options", ())]
    spec = {**spec, "mounts": entries, "linux": {"namespaces": [{"type": "mount"}]}}
    plan = [ops.unshare(CLONE_NEWNS, None), *rootfs.attach(spec, facts, True)]  # type: ignore[arg-type]
    plan += mounts.operations(spec, facts, [])  # type: ignore[arg-type]
    plan.append(ops.created())
    handshake = spawn.init(plan, 0, creation.request.root)
    try:
        if not handshake.follow(perform):
            raise handshake.died()
    finally:
        handshake.end()
        handshake.close()


def stand_in(mount: "Mount") -> "Mount":
    """The mount as far as its mount point, and those below it, depend on it."""
    options = mount.get("options") or []
    kept = [
        option for option in options if option in ("bind", "rbind", "src-nofollow", "dest-nofollow", "copy-symlink")
    ]
    if "bind" in kept or "rbind" in kept:
        return {**mount, "options": kept}
    if mount.get("type") in ORDINARY:
        return {**mount, "options": []}
    return {"destination": mount["destination"], "type": "tmpfs", "source": "tmpfs", "options": []}


def cgroup_roots(pid: int) -> "list[tuple[str, str]]":
    """(controller, path) of each hierarchy: where the process is, the container's first process will be."""
    result = []
    for line in files.read(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").rstrip("\n").split("\n"):
        _, controllers, path = line.split(":", 2)
        result += [(name, path) for name in controllers.split(",")]
    return result
