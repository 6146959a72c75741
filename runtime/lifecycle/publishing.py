"""Giving the caller of create, run or exec what it asked for: trace, terminal, pidfd, pid file. Hot."""

import posix

from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.process.handshake import Handshake
    from runtime.shapes import CreateOptions, PublishOptions


def write_trace(options: "CreateOptions", handshake: "Handshake") -> None:
    """Write --trace, with the operations done so far. OcirunError when the file cannot be written."""
    path = options.get("trace")
    if path:
        from runtime.lifecycle.trace import write

        write(path, handshake.operations, handshake.trace)


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid in decimal, without a newline. Managers poll for the file, so it appears complete. OcirunError on failure."""
    above, slash, _ = path.rpartition("/")
    aside = f"{above}{slash}.ocirun-{pid}.tmp"  # a short name: the file's own may be as long as NAME_MAX
    try:
        # O_EXCL refuses a symbolic link: others may write to the directory, such as /tmp.
        descriptor = posix.open(aside, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
        try:
            posix.write(descriptor, b"%d" % pid)
            posix.rename(aside, path)
        except OSError:
            posix.unlink(aside)
            raise
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise system_failure(f"write the pid file {path}", error) from None


def publish(options: "PublishOptions", handshake: "Handshake") -> None:
    """Send the terminal and the pidfd, where the caller asked for them. The pid file comes last (`publish_pid`).

    OcirunError when a socket does not take them.
    """
    if handshake.console >= 0:
        if options.get("console_socket"):
            from runtime.process.console import send

            send(options["console_socket"], handshake.console)
        elif options.get("take_terminal"):
            options["take_terminal"](handshake.console)
        else:
            from runtime.process.terminal import prepare

            prepare(handshake.console)
    if options.get("take_pidfd"):
        options["take_pidfd"](posix.pidfd_open(handshake.pid))
    for path in (options.get("pidfd_socket"), options.get("pidfd_receiver")):
        if path:
            from runtime.process.console import send_pidfd

            send_pidfd(path, handshake.pid)


def publish_pid(options: "PublishOptions", handshake: "Handshake") -> None:
    """Write the pid file, late: if the process were killed first, its pid might be reused. Raises OcirunError."""
    if options.get("pid_file"):
        write_pid_file(options["pid_file"], handshake.pid)


def withdraw_pid(options: "PublishOptions") -> None:
    """Remove the pid file of a process that is about to be killed."""
    if options.get("pid_file"):
        try:
            posix.unlink(options["pid_file"])
        except OSError:
            pass  # the caller hears of the earlier failure
