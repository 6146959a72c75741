#!/usr/bin/env python3
"""A life of one container: limits, output as it comes, events, another program in it, a change of a limit, and what it wrote.

one.py BUNDLE: a directory with config.json and rootfs/ (a shell with the usual programs). As root, or with what rootless needs.
"""

import json
import sys
import tempfile
import threading
from pathlib import Path

from ocirun import DEVNULL, PIPE, Container

PROGRAM = "for n in 1 2 3; do echo step $n; echo $n >> /out/steps; sleep 0.5; done; cat /out/note"


def watch(container: Container) -> None:
    for event in container.events(interval=0.4):
        data = event.get("data")
        print("event:", event["type"], f"{data['memory']['usage']['usage']} bytes" if data else "")


def main(bundle: str) -> None:
    config = json.loads(Path(bundle, "config.json").read_text())
    config["process"]["args"] = ["/bin/sh", "-c", PROGRAM]
    config["process"]["terminal"] = False
    limits = config["linux"].setdefault("resources", {})
    limits |= {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
    with tempfile.TemporaryDirectory() as out:
        config["mounts"].append({"destination": "/out", "type": "bind", "source": out, "options": ["bind", "rw"]})
        options = {"config": config, "root": f"{out}/.state"}
        with Container.run("example-one", bundle, stdin=DEVNULL, stdout=PIPE, text=True, **options) as container:
            watcher = threading.Thread(target=watch, args=[container])
            watcher.start()
            print(
                "inside:",
                container.exec(["sh", "-c", "echo $$; hostname"], capture_output=True, text=True).stdout.split(),
            )
            container.exec(["sh", "-c", "cat > /out/note"], input="left by exec\n", check=True)
            container.update({"pids": {"limit": 10}})
            print("limit:", container.stats()["pids"]["limit"], "processes")
            for line in container.stdout:
                print("output:", line.rstrip())
            print("status:", container.wait())
            watcher.join()
        print("wrote:", Path(out, "steps").read_text().split())


if __name__ == "__main__":
    main(sys.argv[1])
