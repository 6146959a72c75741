"""linux.netDevices: moving network devices into the container's network namespace (config-linux.md#network-devices).

A move keeps the properties of the device (hardware address, MTU, queues) and loses those of the namespace: the IP
addresses and whether it is up, which are restored here, and the routes, which are not. Once the container is made,
nobody moves a device back. If it cannot be made, its devices move back (runtime.lifecycle.net_devices says when).
Imported only for a config with netDevices.
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
    """Index and flags of the device. Raises OSError, ENODEV without such a device."""
    asked = netlink.packed({netlink.IFLA_IFNAME: name.encode() + b"\0"})
    _, index, flags, _ = LINK.unpack_from(network.ask(netlink.RTM_GETLINK, LINK.pack(0, 0, 0, 0) + asked))
    return index, flags


def links(network: Netlink) -> "dict[int, str]":
    """Index → name of every device."""
    names = {}
    for body in network.dump(netlink.RTM_GETLINK, LINK.pack(0, 0, 0, 0)):
        name = netlink.attributes(body[LINK.size :])[netlink.IFLA_IFNAME]
        names[LINK.unpack_from(body)[1]] = name.rstrip(b"\0").decode()
    return names


def addresses(network: Netlink, index: int) -> "list[Address]":
    """All addresses of the device, in the kernel's order: the first one of a subnet is its primary address."""
    result = []
    for body in network.dump(netlink.RTM_GETADDR, ADDRESS.pack(0, 0, 0, 0, 0)):
        family, length, flags, scope, owner = ADDRESS.unpack_from(body)
        if owner == index:
            values = netlink.attributes(body[ADDRESS.size :])
            if IFA_FLAGS in values:  # the header's field has only the low byte
                flags = U32.unpack(values[IFA_FLAGS])[0]
            result.append((family, length, flags, scope, values))
    return result


def add_address(network: Netlink, index: int, address: "Address", names: "tuple[str, str]") -> None:
    """Add an address to the device. ``names``: the device's old and new name, the prefix of IPv4 labels. Raises OSError."""
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
    """Move a device into the namespace ``network``, that of ``target``. Returns its index and name there."""
    before = links(target)
    wanted = {netlink.IFLA_NET_NS_FD: U32.pack(network), netlink.IFLA_IFNAME: name.encode() + b"\0"}
    source.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, 0, 0) + netlink.packed(wanted))
    if not name.endswith(PATTERN):
        return find(target, name)[0], name
    return next((number, chosen) for number, chosen in links(target).items() if number not in before)


def set_up(network: Netlink, index: int) -> None:
    network.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, netlink.IFF_UP, netlink.IFF_UP))


def take(handshake: "Handshake", operation: "Operation", note: "Callable[[Entry], None]") -> None:
    """Move one device, restore its addresses and set it up. ``note`` records it before the move. Raises OcirunError."""
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
        kept = addresses(host, index)
        refuse_taken(container, name, origin)
        tried = "move"
        note(entry_of(device, index, flags, name, list(links(container)), kept))
        index, name = move(host, container, handshake.network, index, name)
        tried = "set an address of"
        for address in kept:
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
    """Refuse a name that is taken. The kernel would fail only after it has moved the device."""
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
    reason = (error.strerror or "").rstrip(".")
    remedy = REMEDIES.get(number) if tried == "move" else None
    if number == ENODEV and tried == "find":
        reason, remedy = "there is no such device", "see `ip link` in the runtime's network namespace"
    hint = f"; {remedy}" if remedy else ""
    return OcirunError(
        f"{tried} the network device {device}: {reason[:1].lower()}{reason[1:]}{hint}", origin, None, number
    )


def entry_of(device: str, index: int, flags: int, name: str, before: "list[int]", kept: "list[Address]") -> "Entry":
    """The entry of a device for the record. ``before``: the indices of the devices in the container's namespace."""
    rows = [(*address[:4], [(kind, value.hex()) for kind, value in address[4].items()]) for address in kept]
    return {"device": device, "index": index, "flags": flags, "name": name, "before": before, "addresses": rows}


def give_back(entries: "list[Entry]", network: int, warn: "Callable[[str], None]") -> None:
    """Move devices back from the namespace ``network``, and restore them. The last one moves first: then the only device that
    an entry's ``before`` does not list is its own. Without the namespace (-1), restore what the kernel moved back.
    Failures are warnings.
    """
    own = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
    host = Netlink()
    container = Netlink(network) if network >= 0 else None
    try:
        for entry in reversed(entries):
            try:
                if links(host).get(entry["index"]) != entry["device"]:  # else it was never moved
                    bring(entry, own, host, container)
            except OSError as error:
                warn(f"bring the network device {entry['device']} back: {(error.strerror or '').lower()}")
    finally:
        posix.close(own)
        host.close()
        if container:
            container.close()


def bring(entry: "Entry", own: int, host: Netlink, container: "Netlink | None") -> None:
    """Move one device back. Raises OSError."""
    device = entry["device"]
    if container:
        there = {number: name for number, name in links(container).items() if number not in entry["before"]}
        number = next((n for n, name in there.items() if name == entry["name"] or entry["name"].endswith(PATTERN)), 0)
        if not number:
            raise OSError(ENODEV, "it is no longer in the container's network namespace")
        index = move(container, host, own, number, device)[0]
    else:
        # The namespace has ended: the kernel moves hardware to the initial one, without renaming it.
        index = entry["index"]
        if index not in links(host):
            raise OSError(ENODEV, "its network namespace is gone: see `ip link` in the initial one")
        wanted = netlink.packed({netlink.IFLA_IFNAME: device.encode() + b"\0"})
        host.request(netlink.RTM_SETLINK, 0, LINK.pack(0, index, 0, 0) + wanted)
    restore(host, entry, index)


def restore(host: Netlink, entry: "Entry", index: int) -> None:
    """Restore the addresses, and set the device up if it was. The kernel adds link-local addresses itself."""
    device = entry["device"]
    for family, length, flags, scope, values in entry["addresses"]:
        if scope == RT_SCOPE_UNIVERSE:
            kept = {kind: bytes.fromhex(value) for kind, value in values}
            add_address(host, index, (family, length, flags, scope, kept), (device, device))
    if entry["flags"] & netlink.IFF_UP:
        set_up(host, index)
