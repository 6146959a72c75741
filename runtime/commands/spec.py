"""``ocirun spec``: write a default config.json."""

import posix

from runtime.cli import write
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--bundle", "-b"), "DIR", "bundle", "write it into DIR (default: the current directory)"),
    (
        ("--rootless",),
        None,
        "rootless",
        "for a caller that is not root: a user namespace with the caller's own ids mapped",
    ),
    (
        ("--file", "-f"),
        "FILE",
        "file",
        "write it to FILE; - is standard output (default: config.json, never overwritten)",
    ),
)
OPERANDS = (0, 0, "")


def main(call: "Call") -> int:
    from oci_spec.default import default
    from runtime.host import cgroups
    from runtime.lifecycle.document import indented

    unified = cgroups.read()["mode"] == "v2"
    rootless = call.options.get("rootless", False)
    text = indented(default(rootless, posix.geteuid(), posix.getegid(), unified)) + "\n"
    file = call.options.get("file", "config.json")
    if file == "-":
        write(1, text)
        return 0
    path = file if file.startswith("/") or not call.options.get("bundle") else f"{call.options['bundle']}/{file}"
    replace = posix.O_TRUNC if call.options.get("file") else posix.O_EXCL
    try:
        descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC | replace, 0o666)
    except FileExistsError:
        raise OcirunError(f"{path} exists: remove it first, or choose another file with --file") from None
    except OSError as error:
        raise system_failure(f"write {path}", error) from None
    write(descriptor, text)
    posix.close(descriptor)
    return 0
