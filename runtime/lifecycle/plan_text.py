"""The plan of `create` as people read it: in groups, like steps on one line, and what differs between two plans. Cold."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import JsonObject
    from runtime.lifecycle.planning import Plan

# What each operation is about, in the order in which a plan usually has them.
GROUPS = {
    "namespaces and cgroups": """dumpable oom_score_adj open_namespace join_namespace join_process unshare id_maps become
        time_offsets fork setsid net_device cgroups open_cgroup enter_cgroups resctrl affinity""",
    "mounts": """propagation open_tree idmap_tree device_tree root proc_handle mount bind remount file_label pivot enter_root
        root_readonly root_propagation""",
    "devices and paths": "symlink device device_bind mask readonly console",
    "names and kernel parameters": "hostname domainname sysctl",
    "hooks": "hooks state_document run_hook",
    "limits": "rlimit scheduler io_priority personality memory_policy",
    "identity": "stdio keyring cwd umask label keep_descriptors no_new_privs bounding user capabilities cwd_as_user",
    "program": "program created wait_start place_descriptors seccomp seccomp_notify exec",
}
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names.split()}

STAR = "*"
BOLD, FAINT, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}


def text(plan: "Plan") -> str:
    """A line for each operation, or for like ones in a row: number, side, what it does, line and pointer in config.json."""
    document = plan.document()
    lines = [f"# what create would do with {plan.bundle}: number, side, operation [line and pointer in config.json]"]
    group = ""
    for rows in _runs(document["operations"]):
        first, last = rows[0], rows[-1]
        if _GROUP_OF[first["op"]] != group:
            group = _GROUP_OF[first["op"]]
            lines += ["", group]
        number = f"{first['index']}-{last['index']}" if len(rows) > 1 else str(first["index"])
        words, values = _folded([row["text"] for row in rows])
        lines.append(f"{number:>7}  {first['side']:9}  {words}{_place(first, last)}")
        if values:
            lines.append(f"{'':20}for {STAR} in {', '.join(values)}")
        if first["op"] == "cgroups":
            lines += [f"{'':20}{line}" for line in limits(plan)]
    problems = [
        f"{problem['severity']}: config.json:{problem['line']}: {problem['pointer']}: {problem['message']}"
        for problem in document["warnings"]
    ]
    return "\n".join([*lines, "", *problems] if problems else lines) + "\n"


def coloured(text: str) -> str:
    """The text for a terminal: groups in bold, places faint, the severity of a problem in its colour."""
    return "\n".join(map(_coloured, text.split("\n")))


def _coloured(line: str) -> str:
    word, colon, rest = line.partition(": ")
    if word in COLOURS and colon:
        return f"{COLOURS[word]}{word}{PLAIN}{colon}{rest}"
    if line in GROUPS or line.startswith("# "):
        return f"{BOLD if line in GROUPS else FAINT}{line}{PLAIN}"
    step, gap, place = line.rpartition("  [")
    return f"{step}{FAINT}{gap}{place}{PLAIN}" if gap and place.endswith("]") else line


def limits(plan: "Plan") -> "list[str]":
    """The limits of a plan: one line per file, with the values written to it in a row."""
    rows: list[tuple[str, str, list[str]]] = []
    for write in plan.cgroups.get("writes", ()):
        name = write["file"].rpartition("/")[2]
        if not rows or rows[-1][0] != name:
            rows.append((name, write["pointer"], []))
        rows[-1][2].append(write["value"])
    lines = [f"the systemd unit {plan.unit[0]}", *plan.unit[1:]] if plan.unit else []
    for name, pointer, values in rows:
        line = plan.line(pointer)
        lines.append(f"{name}: {', '.join(values)}" + (f"  [{line} {pointer}]" if line else ""))
    if plan.cgroups.get("device_filter"):
        lines.append(f"a device filter ({plan.cgroups['device_filter']} instructions)")
    return lines


def difference(plan: "Plan", other: "Plan") -> str:
    """What only one of two plans has, with - and +, in their order; "" if there is nothing.

    Numbers, and places in config.json, do not count; the bundle's own directory is written BUNDLE in both.
    """
    from difflib import SequenceMatcher

    before, after = _comparable(plan), _comparable(other)
    lines = []
    group = ""
    matcher = SequenceMatcher(None, [row[:2] for row in before], [row[:2] for row in after], autojunk=False)
    for tag, low, high, other_low, other_high in matcher.get_opcodes():
        if tag == "equal":
            continue
        changed = [("-", *row) for row in before[low:high]] + [("+", *row) for row in after[other_low:other_high]]
        for sign, about, words, place in changed:
            if about != group:
                group = about
                lines.append(f"@ {about}")
            lines.append(f"{sign} {words}{place}")
    head = [f"--- {plan.bundle}", f"+++ {other.bundle}"]
    return "\n".join([*head, *lines, ""]) if lines else ""


def _comparable(plan: "Plan") -> "list[tuple[str, str, str]]":
    """Group, words and place of everything in a plan."""
    document = plan.document()
    rows = []
    for row in document["operations"]:
        rows.append((_GROUP_OF[row["op"]], f"{row['side']:9}  {row['text']}", _place(row, row)))
        if row["op"] == "cgroups":
            split = (line.partition("  [") for line in limits(plan))
            rows += [("limits of the cgroups", words, sign + place) for words, sign, place in split]
    for row in document["warnings"]:
        rows.append(("warnings", f"{row['severity']}: {row['message']}", f"  [{row['line']} {row['pointer']}]"))
    return [(group, words.replace(plan.bundle, "BUNDLE"), place) for group, words, place in rows]


def _runs(rows: "list[JsonObject]") -> "Iterator[list[JsonObject]]":
    """The operations, like ones that follow each other together."""
    run: list[JsonObject] = []
    for row in rows:
        if run and not (_alike(run[-1], row) and _folded([one["text"] for one in [*run, row]])[1]):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _alike(row: "JsonObject", following: "JsonObject") -> bool:
    """Whether two operations do the same, for the same property or for the next item of a list."""
    if (row["op"], row["side"]) != (following["op"], following["side"]):
        return False
    pointers = [one["pointer"] or "" for one in (row, following)]
    return pointers[0] == pointers[1] or all(
        pointer.rpartition("/")[2].isdigit() and pointer.rpartition("/")[0] == pointers[0].rpartition("/")[0]
        for pointer in pointers
    )


def _folded(texts: "list[str]") -> "tuple[str, list[str]]":
    """One text with a star where the texts have another word each, and these words; [] if that does not describe them."""
    if len(texts) == 1:
        return texts[0], []
    import re

    for pattern in (r"([ /])", r"(,? )"):
        split = [re.split(pattern, text) for text in texts]
        if len({len(words) for words in split}) > 1:
            continue
        columns = list(zip(*split, strict=True))
        varying = {column for column in columns if len(set(column)) > 1}
        if len(varying) == 1:
            (values,) = varying
            words = "".join(STAR if column == values else column[0] for column in columns)
            return words, list(values)
    return texts[0], []


def _place(first: "JsonObject", last: "JsonObject") -> str:
    """Where config.json asks for the operations."""
    if not first["line"]:
        return ""
    if first["pointer"] == last["pointer"]:
        return f"  [{first['line']} {first['pointer']}]"
    return f"  [{first['line']}-{last['line']} {first['pointer'].rpartition('/')[0]}]"
