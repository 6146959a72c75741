"""create and start in one, and in the foreground the wait for the end. Hot.

Init does not wait for a `start` here: it goes on when it is let go, and the handshake stays open until execve closes it.
"""

import posix

from runtime.errors import InvalidConfig, NotFound, OcirunError
from runtime.lifecycle import config, publishing, state, store
from runtime.lifecycle import create as creating
from runtime.lifecycle.delete import destroy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.lifecycle.create import Making, Warn
    from runtime.lifecycle.notify import Notification
    from runtime.process.handshake import Handshake
    from runtime.shapes import CreateOptions


def begin(making: "Making") -> "Notification | None":
    """Let init go, and hear that the program was reached; then the poststart hooks. Undoes all on failure.

    Returns the socket on which the container says that it is ready, where the caller wants to know.
    """
    handshake = making.handshake
    assert handshake is not None
    notification = None
    try:
        creating.write_trace(making)
        creating.attend(making, publishing.publish, making.options, handshake)
        if making.record.get("notify"):
            from runtime.lifecycle.notify import Notification

            notification = Notification(making.handle, making.record)
        handshake.release()
        if making.options.get("detach") or (making.spec.get("hooks") or {}).get("startContainer"):
            creating.attend(making, follow, making, handshake)
        else:
            follow(making, handshake)
        creating.write_trace(making)  # with what came after `created`
        poststart = making.record["hooks"].get("poststart")
        if poststart:
            from runtime.lifecycle.hooks import run as run_hooks

            run_hooks(poststart, state.document(making.record, state.RUNNING), "/hooks/poststart")
        publishing.publish_pid(making.options, handshake)
        creating.settle(making)
    except BaseException as error:
        creating.undo(making)
        if isinstance(error, OcirunError):
            config.locate(error, making.data)
        if notification:
            notification.close()
        raise
    return notification


def follow(making: "Making", handshake: "Handshake") -> None:
    """Until the program is reached. In the foreground and without hooks on the way, signals are the program's already."""
    handshake.follow(lambda one, operation: creating.host_step(making, operation))


def run(root: str, id: str, options: "CreateOptions", warn: "Warn") -> int:
    """Run a container. The exit status of its program (128 + N for a signal); 0 with ``detach``.

    Without ``detach`` the container is deleted when it has ended, unless ``keep``.
    """
    making = creating.Making(root, id, options, warn)
    if not making.process:
        raise config.locate(InvalidConfig("there is nothing to run without process", "/process"), making.data)
    detach = bool(options.get("detach"))
    config.check_terminal(making.process, options, detach, making.data)
    foreground = None
    if not detach:
        from runtime.process.foreground import Foreground

        foreground = Foreground()
    creating.catch_signals(making)
    creating.build(making, wait_start=False)
    notification = begin(making)
    handshake = making.handshake
    assert handshake is not None
    posix.close(making.handle)
    if foreground is None:
        handshake.close()
        if notification:
            release_signals(making)
            notification.wait(warn)
        return 0
    if notification:
        notification.wait_aside(warn)
    terminal = -1 if options.get("console_socket") else handshake.console
    try:
        status = foreground.wait(handshake.pid, terminal)
    finally:
        handshake.close()
    if not options.get("keep"):
        creating.catch_signals(making)  # a terminal's session has had them
        remove(making)
    return status


def release_signals(making: "Making") -> None:
    """What asks us to end does so again: nothing is to be undone any more."""
    if making.spec.get("hooks"):
        from runtime.process.interruption import release

        release()


def remove(making: "Making") -> None:
    """Delete after the end. A failure is told, but the program's own exit status is what the caller gets.

    Its processes have ended with it, or are ended with its cgroups. Somebody else may have deleted it meanwhile.
    """
    try:
        handle = store.open_locked(making.root, making.id)
    except NotFound:
        return
    except OcirunError as error:
        making.warn(str(error))
        return
    try:
        if store.read_state(handle, making.id)["created"] == making.record["created"]:
            destroy(making.root, making.id, handle, making.record, making.warn, kill=False)
    except OcirunError as error:
        making.warn(str(error))
    finally:
        posix.close(handle)
