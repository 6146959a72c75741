"""The Python API, imported as `ocirun`: what the command line does, without a new process for each call. Cold.

    container   `Container`: create, run, load, exec, wait
    process     `Process` and `CompletedProcess`: a program started in a container
    child       what both wait for; `pidfd`: how; `streams`, `terminal`: what they read and write
    reports     `validate`, `plan`, `features`, `doctor`, `list_containers`
    images      what `ocirun bundle` does: `bundling` has its words, `command` is the process that runs them
    aio         the same for asyncio: `aio.worker` is the process that makes the calls, `aio.link` the socket to it

The process that calls `Container.create` is the parent of the container's init and reaps it by `Container.wait`. The
calls do not change the process: signal handlers and mask, working directory, umask and descriptors stay. Calls for different
containers may run in different threads. A container belongs to its state directory, not to the object.
"""

from runtime.api.arguments import OcirunWarning
from runtime.api.container import Container
from runtime.api.outcome import CalledProcessError, CompletedProcess, TimeoutExpired
from runtime.api.process import Process
from runtime.api.reports import Problem, doctor, features, list_containers, plan, validate
from runtime.api.streams import DEVNULL, PIPE, STDOUT
from runtime.api.terminal import Terminal
from runtime.errors import Foreign, InvalidConfig, NotFound, OcirunError, WrongState
from runtime.images.errors import BadImage

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "BadImage",
    "CalledProcessError",
    "CompletedProcess",
    "Container",
    "Foreign",
    "InvalidConfig",
    "NotFound",
    "OcirunError",
    "OcirunWarning",
    "Problem",
    "Process",
    "Terminal",
    "TimeoutExpired",
    "WrongState",
    "doctor",
    "features",
    "list_containers",
    "plan",
    "validate",
]
