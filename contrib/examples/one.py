#!/usr/bin/env python3
"""A life of one container: from an image, with limits; its output as it comes, its events, another program in it, a change of a
limit, and what it wrote.

one.py IMAGE: an OCI layout or an archive of docker save, LAYOUT[:TAG], of an image with a shell.
"""

import json
import sys
import tempfile
import threading
from pathlib import Path

from ocirun import DEVNULL, PIPE, Container, images

PROGRAM = "for n in 1 2 3; do echo step $n; echo $n >> /steps; sleep 0.5; done; cat /note"


def watch(container: Container) -> None:
    for event in container.events(interval=0.4):
        data = event.get("data")
        print("event:", event["type"], f"{data['memory']['usage']['usage']} bytes" if data else "")


def main(image: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        images.unpack(image, f"{place}/bundle", store=f"{place}/store")
        config = json.loads(Path(place, "bundle/config.json").read_text())
        config["process"] |= {"args": ["/bin/sh", "-c", PROGRAM], "terminal": False}
        config["linux"].setdefault("resources", {}).update(memory={"limit": 64 << 20}, pids={"limit": 20})
        streams = {"stdin": DEVNULL, "stdout": PIPE, "text": True}
        with Container.run(
            "example-one", f"{place}/bundle", root=f"{place}/state", config=config, **streams
        ) as container:
            watcher = threading.Thread(target=watch, args=[container])
            watcher.start()
            inside = container.exec(["sh", "-c", "echo $$; id -u"], capture_output=True, text=True)
            print("inside:", inside.stdout.split())
            container.exec(["sh", "-c", "cat > /note"], input="left by exec\n", check=True)
            container.update({"pids": {"limit": 10}})
            print("limit:", container.stats()["pids"]["limit"], "processes")
            for line in container.stdout:
                print("output:", line.rstrip())
            print("status:", container.wait())
            watcher.join()
        print("wrote:", [row["path"] for row in images.changes(f"{place}/bundle") if row["kind"] == "A"])


if __name__ == "__main__":
    main(sys.argv[1])
