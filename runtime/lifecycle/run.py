"""create and start in one and, in the foreground, waiting for the end. Hot.

Here init does not wait for `start`: it goes on once released, and the handshake stays open until execve closes it.
"""

import posix

from runtime.errors import UNEXECUTED, InvalidConfig, NotFound, OcirunError
from runtime.lifecycle import assembly, publishing, state, store
from runtime.lifecycle import create as creating
from runtime.lifecycle.config import locate
from runtime.lifecycle.delete import destroy
from runtime.lifecycle.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.lifecycle.create import Creation
    from runtime.lifecycle.notify import Notification
    from runtime.process.foreground import Foreground
    from runtime.process.handshake import Handshake
    from runtime.shapes import CreateOptions, Warn


def run(root: str, id: str, options: "CreateOptions", warn: "Warn") -> int:
    """Run a container. Returns the exit status of its program (128 + N for a signal); 0 with ``detach``.

    Without ``detach`` the container is deleted when it has ended, unless ``keep``. OcirunError when the program does not
    run; then nothing is left.
    """
    request = Request(root, id, options, warn)
    if not request.process:
        raise locate(InvalidConfig("there is nothing to run: the config has no process", "/process"), request.data)
    detach = bool(options.get("detach"))
    request.check_terminal(detach)
    foreground = None
    if options.get("seccomp_explain"):
        explain_seccomp(request)
    try:
        facts = assembly.read_host(request.spec, options["bundle"])
        if not detach:
            from runtime.process.foreground import Foreground

            foreground = Foreground()
        creating.catch_signals(request)
        creation, handshake = creating.build(request, facts, wait_start=False)
        notification = begin(creation, handshake)
    except OcirunError as error:
        if request.options.get("explainer"):
            request.options["explainer"].summarise()
        locate(error, request.data)
        raise
    posix.close(creation.handle)
    if foreground:
        return attend(creation, handshake, notification, foreground)
    handshake.close()
    if notification:
        if request.spec.get("hooks"):
            from runtime.process.interruption import release

            release()  # there is nothing to undo any more
        notification.wait(warn)
    return 0


def attend(
    creation: "Creation", handshake: "Handshake", notification: "Notification | None", foreground: "Foreground"
) -> int:
    """Wait for the program's end, and delete the container. Returns the exit status."""
    from runtime.process.foreground import FAULTS

    request = creation.request
    if notification:
        notification.wait_aside(request.warn)
    try:
        status = foreground.wait(handshake.pid, -1 if request.options.get("console_socket") else handshake.console)
    finally:
        handshake.close()
    explainer = request.options.get("explainer")
    if explainer:
        status = explainer.end(status)
    elif status in FAULTS:
        tell_end(request, handshake.pid, foreground.ended)
    if not request.options.get("keep"):
        creating.catch_signals(request)  # again: a terminal's session changes what is done about them
        remove(creation)
    return status


def explain_seccomp(request: Request) -> None:
    """Have told what the seccomp filter refuses. InvalidConfig if that cannot be."""
    from runtime.lifecycle.seccomp_explain import Explainer

    explainer = Explainer(request.spec, request.data, request.options["explain"])
    request.options = {**request.options, "explainer": explainer}


def tell_end(request: Request, pid: int, status: int) -> None:
    """Warn if the seccomp filter is the reason for the program's end. ``status``: as wait(2) has it."""
    profile = assembly.seccomp_profile(request.spec)
    if profile:
        from runtime.lifecycle import reasons

        reasons.tell(profile, request.data, pid, status, request.warn)


def begin(creation: "Creation", handshake: "Handshake") -> "Notification | None":
    """Release init, wait until the program runs, and run the poststart hooks. Undoes everything on failure.

    In the foreground, signals are for the program from the release on, unless startContainer hooks come before it.
    Returns the container's notify socket, if the caller has a NOTIFY_SOCKET.
    """
    request, record, options = creation.request, creation.record, creation.request.options
    notification = None
    try:
        publishing.write_trace(options, handshake)
        creating.attend(request, lambda: publishing.publish(options, handshake))
        if record.get("notify"):
            from runtime.lifecycle.notify import Notification

            notification = Notification(creation.handle, record)
        hooked = bool((request.spec.get("hooks") or {}).get("startContainer"))
        if hooked:
            from runtime.process.hook_output import check

            check(record)
        handshake.release()
        perform = creating.host_side(creation)
        try:
            if options.get("detach") or hooked:
                creating.attend(request, lambda: handshake.follow(perform))
            else:
                handshake.follow(perform)
        finally:
            publishing.write_trace(options, handshake)  # with what came after `created`; its last line may have failed
        poststart = record["hooks"].get("poststart")
        if poststart:
            from runtime.lifecycle.hooks import run as run_hooks

            run_hooks(poststart, state.document(record, state.RUNNING), "/hooks/poststart")
        publishing.publish_pid(options, handshake)
        creating.settle(creation)
    except BaseException as error:
        from runtime.lifecycle.undo import undo

        undo(creation, handshake)
        if notification:
            notification.close()
        if isinstance(error, OcirunError) and error.pointer in UNEXECUTED:
            explain(error, request.spec, record["bundle"])
        raise
    return notification


def explain(error: OcirunError, spec: "Config", bundle: str) -> None:
    """Add to the kernel's word on the program what is known: a fault of its file, or the filter's rule."""
    from runtime.lifecycle import reasons

    try:
        reasons.explain(error, spec, bundle)
    except Exception:  # the file is stranger than we know: the kernel's word must do
        return


def remove(creation: "Creation") -> None:
    """Delete the container after its end. A failure is a warning: the caller gets the program's own exit status.

    The other processes ended with the program, or end with the cgroups. Somebody else may have deleted it meanwhile.
    """
    root, id, warn = creation.request.root, creation.request.id, creation.request.warn
    try:
        handle = store.open_locked(root, id)
    except NotFound:
        return
    except OcirunError as error:
        warn(str(error))
        return
    try:
        if store.read_state(handle, id)["created"] == creation.record["created"]:
            destroy(root, id, handle, creation.record, warn, kill=False)
    except OcirunError as error:
        warn(str(error))
    finally:
        posix.close(handle)
