"""linux.netDevices: moving network devices into the container's network namespace (config-linux.md#network-devices).

The kernel keeps what belongs to the device (hardware address, MTU, queues) and drops what belongs to the namespace: the
IP addresses, which are read before and set again, and whether it is up. Routes are not kept. Once the container is made
nobody moves a device back; a container that cannot be made gives its devices back (runtime.lifecycle.net_devices says
when). Imported only for a config with some.
"""

import posix
from _struct import Struct
from errno import EINVAL, ENODEV, EOPNOTSUPP, EPERM

from runtime.errors import InvalidConfig, OcirunError

from . import netlink
from .netlink import ADDRESS, LINK, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.ops import Operation
    from runtime.shapes import NetDeviceRow

    from .handshake import Handshake

    Address = tuple[int, int, int, int, netlink.Attributes]  # family, prefix length, flags, scope, IFA_*
    Entry = NetDeviceRow

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO = 1, 2, 3, 4, 6
IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO = 8, 9, 11
KEPT_ATTRIBUTES = (IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO, IFA_RT_PRIORITY, IFA_PROTO)
IFA_F_NODAD, IFA_F_HOMEADDRESS, IFA_F_MANAGETEMPADDR, IFA_F_NOPREFIXROUTE = 0x02, 0x10, 0x100, 0x200
IFA_F_PERMANENT = 0x80
KEPT_FLAGS = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE
RT_SCOPE_UNIVERSE = 0
PATTERN = "%d"
NAME_SIZE = 15  # bytes
U32 = Struct("=I")
BOUND = "devices such as lo, and those of some tunnels, stay in their network namespace"
REMEDIES = {EPERM: "it takes CAP_NET_ADMIN over the host's network namespace", EINVAL: BOUND, EOPNOTSUPP: BOUND}


def find(network: Netlink, name: str) -> "tuple[int, int]":
    """Index and flags of the device. Raises OSError, ENODEV where there is none."""
    asked = netlink.packed({netlink.IFLA_IFNAME: name.encode() + b"\0"})
    _, index, flags, _ = LINK.unpack_from(network.ask(netlink.RTM_GETLINK, LINK.pack(0, 0, 0, 0) + asked))
    return index, flags


def links(network: Netlink) -> "dict[int, str]":
    """Index → name of every device."""
    found = {}
    for body in network.dump(netlink.RTM_GETLINK, LINK.pack(0, 0, 0, 0)):
        name = netlink.attributes(body[LINK.size :])[netlink.IFLA_IFNAME]
        found[LINK.unpack_from(body)[1]] = name.rstrip(b"\0").decode()
    return found


def addresses(network: Netlink, index: int) -> "list[Address]":
    """All addresses of the device, in the kernel's order: of two in one subnet the first is the primary one."""
    found = []
    for body in network.dump(netlink.RTM_GETADDR, ADDRESS.pack(0, 0, 0, 0, 0)):
        family, length, flags, scope, owner = ADDRESS.unpack_from(body)
        if owner == index:
            values = netlink.attributes(body[ADDRESS.size :])
            if IFA_FLAGS in values:  # the other field has the low byte only
                flags = U32.unpack(values[IFA_FLAGS])[0]
            found.append((family, length, flags, scope, values))
    return found


def add_address(network: Netlink, index: int, address: "Address", names: "tuple[str, str]") -> None:
    """``names``: of the device before and now, which the labels of IPv4 addresses begin with. Raises OSError."""
    family, length, flags, scope, values = address
    kept = {kind: values[kind] for kind in KEPT_ATTRIBUTES if kind in values}
    flags &= KEPT_FLAGS
    kept[IFA_FLAGS] = U32.pack(flags)
    label = values.get(IFA_LABEL, b"").rstrip(b"\0")
    before, now = (name.encode() for name in names)
    if label.startswith(before + b":"):
        kept[IFA_LABEL] = (now + label[len(before) :])[:NAME_SIZE] + b"\0"
    body = ADDRESS.pack(family, length, flags & 0xFF, scope, index) + netlink.packed(kept)
    network.request(netlink.RTM_NEWADDR, netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, body)


def move(source: Netlink, target: Netlink, network: int, index: int, name: str) -> "tuple[int, str]":
    """Move a device into the namespace ``network``, which ``target`` talks to; its index and name there."""
    before = links(target)
    wanted = {netlink.IFLA_NET_NS_FD: U32.pack(network), netlink.IFLA_IFNAME: name.encode() + b"\0"}
    source.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, 0, 0) + netlink.packed(wanted))
    if not name.endswith(PATTERN):
        return find(target, name)[0], name
    return next((number, found) for number, found in links(target).items() if number not in before)


def set_up(network: Netlink, index: int) -> None:
    network.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, netlink.IFF_UP, netlink.IFF_UP))


def take(handshake: "Handshake", operation: "Operation", note: "Callable[[Entry], None]") -> None:
    """Move one device, give it its addresses and set it up; ``note`` hears of it before. Raises OcirunError."""
    _, _, origin, _, strings = operation
    device, name = map(str, strings)
    if handshake.network < 0:
        handshake.network = open_network(handshake.pid, origin)
    tried = "reach"
    host = container = None
    try:
        host, container = Netlink(), Netlink(handshake.network)
        tried = "find"
        index, flags = find(host, device)
        found = addresses(host, index)
        refuse_taken(container, name, origin)
        tried = "move"
        note(entry(device, index, flags, name, list(links(container)), found))
        index, name = move(host, container, handshake.network, index, name)
        tried = "set an address of"
        for address in found:
            if address[2] & IFA_F_PERMANENT and address[3] == RT_SCOPE_UNIVERSE:
                add_address(container, index, address, (device, name))
        tried = "set up"
        set_up(container, index)
    except OSError as error:
        raise failure(tried, device, error, origin) from None
    finally:
        for network in (host, container):
            if network:
                network.close()


def open_network(pid: int, origin: "str | None") -> int:
    path = f"/proc/{pid}/ns/net"
    own, theirs = posix.stat("/proc/self/ns/net"), posix.stat(path)
    if (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino):
        raise InvalidConfig(
            "the container's network namespace is the runtime's own, where the device is already", origin
        )
    return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)


def refuse_taken(container: Netlink, name: str, origin: "str | None") -> None:
    """Before the move: the kernel would move the device first and fail then."""
    try:
        find(container, name)
    except OSError as error:
        if error.errno != ENODEV:
            raise
        return
    other = name.rstrip("0123456789")[: NAME_SIZE - len(PATTERN)] + PATTERN
    hint = f"give it another name, such as {other}, for which the kernel finds a number"
    raise InvalidConfig(f"the container's network namespace has a device {name} already; {hint}", origin)


def failure(tried: str, device: str, error: OSError, origin: "str | None") -> OcirunError:
    number = error.errno or 0
    words = (error.strerror or "").rstrip(".")
    remedy = REMEDIES.get(number) if tried == "move" else None
    if number == ENODEV and tried == "find":
        words, remedy = "there is no such device", "see `ip link` in the runtime's network namespace"
    hint = f"; {remedy}" if remedy else ""
    return OcirunError(
        f"{tried} the network device {device}: {words[:1].lower()}{words[1:]}{hint}", origin, None, number
    )


def entry(device: str, index: int, flags: int, name: str, before: "list[int]", found: "list[Address]") -> "Entry":
    """What a record keeps of a device before it is moved. ``before``: the indices of the devices that are there already."""
    kept = [(*address[:4], [(kind, value.hex()) for kind, value in address[4].items()]) for address in found]
    return {"device": device, "index": index, "flags": flags, "name": name, "before": before, "addresses": kept}


def give_back(entries: "list[Entry]", network: int, warn: "Callable[[str], None]") -> None:
    """Bring devices home from the namespace ``network``, as they were; the last one first, so that of what has come since
    each was noted nothing but that one is there. Without the namespace (-1) see what the kernel did with them. What fails
    is told by ``warn``.
    """
    own = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
    host = Netlink()
    container = Netlink(network) if network >= 0 else None
    try:
        for one in reversed(entries):
            try:
                if links(host).get(one["index"]) != one["device"]:  # else it has not been moved
                    bring(one, own, host, container)
            except OSError as error:
                warn(f"bring the network device {one['device']} back: {(error.strerror or '').lower()}")
    finally:
        posix.close(own)
        host.close()
        if container:
            container.close()


def bring(one: "Entry", own: int, host: Netlink, container: "Netlink | None") -> None:
    """One device. Raises OSError."""
    device = one["device"]
    if container:
        there = {number: name for number, name in links(container).items() if number not in one["before"]}
        number = next((n for n, name in there.items() if name == one["name"] or one["name"].endswith(PATTERN)), 0)
        if not number:
            raise OSError(ENODEV, "it is not in the container's network namespace any more")
        index = move(container, host, own, number, device)[0]
    else:
        # With its last process a namespace ends: what is hardware the kernel brings to the first namespace, as it is called.
        index = one["index"]
        if index not in links(host):
            raise OSError(
                ENODEV, "it was in a network namespace that is no more: see `ip link` in the host's first one"
            )
        wanted = netlink.packed({netlink.IFLA_IFNAME: device.encode() + b"\0"})
        host.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, 0, 0) + wanted)
    restore(host, one, index)


def restore(host: Netlink, one: "Entry", index: int) -> None:
    """Addresses and whether it was up. A link-local address the kernel makes by itself again."""
    device = one["device"]
    for family, length, flags, scope, values in one["addresses"]:
        if scope == RT_SCOPE_UNIVERSE:
            kept = {kind: bytes.fromhex(value) for kind, value in values}
            add_address(host, index, (family, length, flags, scope, kept), (device, device))
    if one["flags"] & netlink.IFF_UP:
        set_up(host, index)
