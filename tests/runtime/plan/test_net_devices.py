"""runtime.plan.net_devices: an operation per device, after the network namespace and before anything uses devices."""

from runtime.plan import ops
from tests.runtime.plan import machines


def test_devices():
    """The name is the host's if the config gives none; the origin is the device's pointer."""
    spec = machines.spec_with(netDevices={"eth1": {"name": "eth0"}, "a~b": {}}, sysctl={"net.ipv4.ip_forward": "1"})
    plan = machines.planned(spec)
    moves = [operation for operation in plan if operation[0] == ops.OP_NET_DEVICE]
    assert [(operation[1], operation[2], operation[4]) for operation in moves] == [
        (ops.HOST, "/linux/netDevices/eth1", ("eth1", "eth0")),
        (ops.HOST, "/linux/netDevices/a~0b", ("a~b", "a~b")),
    ]
    names = machines.names(plan)
    assert names.index("fork") < names.index("net_device") < names.index("root") < names.index("sysctl")


def test_none():
    """An empty object asks for nothing."""
    assert "net_device" not in machines.names(machines.planned(machines.spec_with(netDevices={})))
