"""A program in the place of CRIU: it records each request, and answers as the test asks.

It stands for what the tests cannot have: an old CRIU, a kernel that CRIU does not work on, a CRIU that crashes in the middle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from runtime.criu import messages, wire
from tests.integration.caller import TREE

PROGRAM = """\
#!{python}
import json, os, signal, socket, struct, sys
sys.path.insert(0, {tree!r})
from runtime.criu import messages, wire
directory = {directory!r}
wanted = json.load(open(directory + "/wanted.json"))
channel = socket.socket(fileno=int(sys.argv[2]))
request = channel.recv(1 << 16)
kind = wire.decode(request)[1][0]
with open(f"{{directory}}/request{{kind}}", "wb") as file:
    file.write(request)

def answer(*fields):
    channel.send(wire.encode([(1, kind), *fields]))

if kind == messages.VERSION:
    answer((2, True), (10, [(number, value) for number, value in zip((1, 2, 4), wanted["version"])]))
elif kind == messages.CHECK:
    # As CRIU does: a file in the directory of the images, which is its caller's descriptor, or standard output.
    asked = wire.decode(wire.decode(request)[2][0])
    name = asked.get(messages.OPTIONS["log_file"], [b"criu.log"])[0].decode()
    caller, _, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    images = f"/proc/{{caller}}/fd/{{asked[messages.OPTIONS['images_dir_fd']][0]}}"
    log = sys.stdout if name == "-" else open(f"{{images}}/{{name}}", "w")
    if not wanted["check"]:
        print("Error (criu/vdso.c:1): vdso: no good", file=log, flush=True)
    answer((2, wanted["check"]))
elif kind == messages.FEATURE_CHECK:
    answer((2, True), (8, [(number, True) for number in wanted["features"]]))
else:
    for script in wanted["notify"]:
        channel.send(wire.encode([(1, messages.NOTIFY), (2, True), (5, [(1, script), (2, 1)])]))
        channel.recv(1 << 16)
    if wanted["crash"]:
        with open(wanted["freeze"][0], "w") as file:
            file.write(wanted["freeze"][1])
        os.kill(os.getpid(), signal.SIGKILL)
    answer((2, wanted["success"]), (7, 16))
"""


class FakeCriu:
    """``program``: its path. `tell` says how it behaves."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.program = directory / "criu"
        words = {"python": sys.executable, "tree": str(TREE), "directory": str(directory)}
        self.program.write_text(PROGRAM.format(**words))
        self.program.chmod(0o755)
        self.tell()

    def tell(self, **change: Any) -> None:
        wanted = {"version": [4, 0, 0], "check": True, "features": [1, 2], "notify": [], "success": True}
        (self.directory / "wanted.json").write_text(json.dumps({**wanted, "crash": False, "freeze": [], **change}))

    def asked(self, kind: int) -> bool:
        return (self.directory / f"request{kind}").exists()

    def options(self, kind: int) -> dict[str, list[Any]]:
        """The options of the last request of this kind, by name."""
        request = wire.decode((self.directory / f"request{kind}").read_bytes())
        [data] = request[2]
        assert isinstance(data, bytes)
        names = {number: name for name, number in messages.OPTIONS.items()}
        return {names[number]: values for number, values in wire.decode(data).items()}
