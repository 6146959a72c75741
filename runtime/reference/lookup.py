"""From what somebody typed to entries: places of config.json, words that are values there, cgroup files, rules. Cold.

An entry is a dict, printed as JSON by ``--format json``:

    kind         "property", or what the word is: "mount option", "capability", "cgroup file", "rule", …
    name         the pointer, with ``*`` for any item; or the word
    title        of a property
    description  a sentence
    where        the pointer as it was asked for; of a word those of the properties that have such values or write such a file
    type, since  of a property: in words; the version of the spec
    ocirun       what becomes of it: "built" or "warned", and how or why
    operations   of the plan: name → what each does
    kernel       {"version", "option", "cgroup", "note"}, each "" where there is nothing to say
    runc, crun   "yes", "no", or since when
    example      a part of a config.json, or None
    section      of a rule: of the spec
"""

from oci_spec import places
from runtime.errors import NotFound
from runtime.reference import examples, kernel_needs, peers, vocabulary
from runtime.reference.sources import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import JsonObject

NEAR = 5  # suggestions for an unknown word


def find(asked: str) -> "list[JsonObject]":
    """The entries for a pointer or a word. NotFound with the nearest known ones if there is none."""
    pointer = _pointer(asked)
    place = places.find(pointer) if pointer else None
    if place is not None:
        return [{**_property(place), "where": [pointer]}]
    found = [] if asked.startswith("/") else list(_words(asked))
    if found:
        return found
    near = nearest(asked)
    raise NotFound(
        f'"{asked}" is neither a property of config.json nor a word of it'
        + (f"; near: {', '.join(near)}" if near else "; docs/properties.md lists the properties")
    )


def _pointer(asked: str) -> str:
    """The pointer that somebody means: with slashes or dots, with or without the first one; "" for a single word.

    The rest behind a map's name stays as it is, since keys have dots: linux.sysctl.net.ipv4.ip_forward.
    """
    if asked.startswith("/"):
        return asked.rstrip("/")
    text = asked.replace("[", ".").replace("]", "").strip("./")  # mounts[0].options, as jq has it
    if "/" in text:
        return f"/{text}"
    parts, at, pointer = text.split("."), "", ""
    known = places.places()
    for index, part in enumerate(parts):
        if f"{at}/{part}" in known:
            at, pointer = f"{at}/{part}", f"{pointer}/{part}"
        elif f"{at}/*" not in known:
            return ""
        elif type(known[f"{at}/*"].node.get("properties")) is not dict and known[at].node["type"] == "object":
            return f"{pointer}/{'.'.join(parts[index:])}"
        else:
            at, pointer = f"{at}/*", f"{pointer}/{part}"
    return pointer


def _property(place: "places.Place") -> "JsonObject":
    from runtime.plan import properties_table

    pointer = place.pointer
    title, description = place.title, place.description
    owner = places.find(pointer.rpartition("/")[0]) if pointer.endswith("/*") else None
    if owner is not None and not (title and description):
        title, description = f"{owner.title}, one of them", description or owner.description
    known = operations()
    try:
        verdict, how = properties_table.verdict(_named(pointer))
    except KeyError:
        verdict, how = "built", ""
    return {
        "kind": "property",
        "name": pointer,
        "title": title,
        "description": description,
        "where": [pointer],
        "type": place.type + (", required" if place.required else ""),
        "since": place.since,
        "ocirun": [verdict, how],
        "operations": {word: known[word] for word in how.split("`")[1::2] if word in known},
        **_support(kernel_needs.of_pointer(pointer), peers.of_pointer(pointer)),
        "example": examples.example(pointer),
    }


def _named(pointer: str) -> str:
    """The property that an item belongs to."""
    while pointer.endswith("/*"):
        pointer = pointer[:-2]
    return pointer


def _support(needs: "tuple[str, str, str, str]", others: "tuple[str, str]") -> "JsonObject":
    kernel = dict(zip(("version", "option", "cgroup", "note"), needs, strict=True))
    return {"kernel": kernel, "runc": others[0], "crun": others[1]}


def _words(asked: str) -> "Iterator[JsonObject]":
    """Everything that the word names, properties first."""
    folded = asked.lower()
    for pointer, place in places.places().items():
        if pointer.rpartition("/")[2].lower() == folded != "*":
            yield _property(place)
    for look in (_value, _mount_option, _capability, _signal, _annotation, _cgroup_file, _option, _operation, _rule):
        yield from look(asked)


def _entry(kind: str, name: str, description: str, where: "list[str]", example: "JsonObject | None") -> "JsonObject":
    other = kind == "mount option" and name in vocabulary.NAMESPACES  # `user` is both
    needs = kernel_needs.NOTHING if other else kernel_needs.of_word(name)
    return {
        "kind": kind,
        "name": name,
        "title": "",
        "description": description,
        "where": where,
        **_support(needs, peers.ALL if other else peers.of_word(name)),
        "example": example,
    }


def _value(asked: str) -> "Iterator[JsonObject]":
    """Values of enumerations, namespace types and resource limits."""
    from runtime.plan.mount_options import OPTIONS

    for name, meaning in vocabulary.NAMESPACES.items():
        if asked.lower() == name:
            part: JsonObject = {"linux": {"namespaces": [{"type": name}]}}
            yield _entry("namespace type", name, meaning, ["/linux/namespaces/*/type"], part)
    for name in vocabulary.RLIMITS:
        if asked.upper() in (name, name.removeprefix("RLIMIT_")):
            limit: JsonObject = {"type": name, "soft": 1024, "hard": 1024}
            example = {"process": {"cwd": "/", "rlimits": [limit]}}
            yield _entry("resource limit", name, vocabulary.RLIMITS[name], ["/process/rlimits/*/type"], example)
    by_value: dict[str, list[str]] = {}
    for pointer, place in places.places().items():
        for value in place.node.get("enum", ()):
            if str(value).lower() == asked.lower() and value not in vocabulary.NAMESPACES:
                by_value.setdefault(value, []).append(pointer)
    for value, where in by_value.items():
        meaning = vocabulary.VALUES.get(value) or (_option_meaning(value) if value in OPTIONS else "")
        first = places.places()[where[0]]
        yield _entry("value", value, meaning or first.description or first.title, where, None)


def _mount_option(asked: str) -> "Iterator[JsonObject]":
    from runtime.plan.mount_options import BINDS, OPTIONS

    name = asked.lower()
    if name in OPTIONS:
        options = [name] if name in BINDS else ["rbind", name]
        mount = {"destination": "/data", "type": "none", "source": "/srv/data", "options": options}
        yield _entry("mount option", name, _option_meaning(name), ["/mounts/*/options"], {"mounts": [mount]})
    key = name.partition("=")[0]
    for option, (kinds, meaning) in vocabulary.FILE_SYSTEM_OPTIONS.items():
        if key == option.rstrip("="):
            yield _entry(f"option of {kinds}", option, f"{meaning}; passed on as it is", ["/mounts/*/options"], None)


def _option_meaning(name: str) -> str:
    """A recursive one (rro) means what the plain one does."""
    from runtime.plan.mount_options import OPTIONS, SUPERBLOCK

    if name in vocabulary.MOUNT_OPTIONS:
        return vocabulary.MOUNT_OPTIONS[name]
    plain = name[1:]
    reach = "the r changes nothing" if OPTIONS[name][0] == SUPERBLOCK else "for all submounts too"
    return f"as {plain}, {reach}: {vocabulary.MOUNT_OPTIONS[plain]}"


def _capability(asked: str) -> "Iterator[JsonObject]":
    from runtime.plan.capabilities import SETS

    word = asked.upper()
    for name in (word, f"CAP_{word}"):
        if name in vocabulary.CAPABILITIES:
            part: JsonObject = {
                "process": {
                    "cwd": "/",
                    "capabilities": {kind: [name] for kind in ("bounding", "permitted", "effective")},
                }
            }
            where = [f"/process/capabilities/{kind}" for kind in SETS]
            yield _entry("capability", name, f"may {vocabulary.CAPABILITIES[name]}", where, part)


def _signal(asked: str) -> "Iterator[JsonObject]":
    import _signal as signals

    name = asked.upper() if asked.upper().startswith("SIG") else f"SIG{asked.upper()}"
    number = getattr(signals, name, None)
    if name.startswith("SIG_") or type(number) is not int:
        return
    words = (signals.strsignal(number) or "").lower()
    meaning = f"signal {number} ({words}), for `ocirun kill` and for the annotation below"
    key = "org.opencontainers.image.stopSignal"
    yield _entry("signal", name, meaning, ["/annotations/*"], {"annotations": {key: name}})


def _annotation(asked: str) -> "Iterator[JsonObject]":
    """Those that ocirun acts on. A name that ends with a dot is a prefix."""
    for name, meaning in annotations().items():
        if asked == name or (name.endswith(".") and asked.startswith(name)):
            yield _entry("annotation", name, meaning, ["/annotations/*"], None)


def annotations() -> "dict[str, str]":
    """The annotations that ocirun acts on, or refuses, with what they mean or why they are refused."""
    from runtime.plan.annotations import REFUSED, UNLESS_EMPTY

    refused = {name: f"refused: {why}" for name, why in {**REFUSED, **UNLESS_EMPTY}.items()}
    return {**vocabulary.ANNOTATIONS, **refused}


def _option(asked: str) -> "Iterator[JsonObject]":
    """An option of the kernel: what needs it."""
    if asked.startswith("CONFIG_"):
        where = [at for at, (_, option, _, note) in kernel_needs.NEEDS.items() if asked in f"{option} {note}".split()]
        if where:
            entry = _entry("option of the kernel", asked, "needed by the properties below", where, None)
            yield {**entry, **_support(kernel_needs.of_pointer(where[0]), peers.ALL)}


def _cgroup_file(asked: str) -> "Iterator[JsonObject]":
    where = [pointer for pointer, files in cgroup_files().items() if any(_matches(file, asked) for file in files)]
    if where:
        version = "v1" if all(_is_v1(pointer, asked) for pointer in where) else ""
        entry = _entry("cgroup file", asked, "written for the properties below", where, examples.example(where[0]))
        entry.update(_support(kernel_needs.of_pointer(where[0]), peers.of_pointer(where[0])))
        entry["description"] += f" (cgroup {version})" if version else ""
        yield entry
    elif asked in vocabulary.UNIFIED:
        part = {"linux": {"resources": {"unified": {asked: vocabulary.UNIFIED[asked][1]}}}}
        meaning = f"{vocabulary.UNIFIED[asked][0]}; on v2, and by no other property"
        entry = _entry("cgroup file", asked, meaning, [f"/linux/resources/unified/{asked}"], part)
        entry.update(_support(kernel_needs.of_pointer("/linux/resources/unified"), peers.ALL))
        yield entry


def _operation(asked: str) -> "Iterator[JsonObject]":
    from runtime.plan.properties_table import TABLE

    known = operations()
    if asked in known:
        where = [pointer for pointer, (_, how) in TABLE.items() if f"`{asked}`" in how]
        yield {
            "kind": "operation of a plan",
            "name": asked,
            "title": "",
            "description": known[asked],
            "where": where,
            "example": None,
        }


def cgroup_files() -> "dict[str, list[str]]":
    """The files that each property is written to: pointer → names, in which ``SIZE`` and ``*`` stand for a part."""
    from runtime.plan.properties_table import TABLE

    files = {}
    for pointer, (_, how) in TABLE.items():
        names = [word for word in how.split("`")[1::2] if "." in word and "_" not in word.partition(".")[0]]
        names += [word for word in how.split("`")[1::2] if word.startswith(("net_cls.", "net_prio."))]
        if names and pointer.startswith("/linux/resources/"):
            files[pointer] = names
    return files


def _matches(file: str, asked: str) -> bool:
    import re

    pattern = re.escape(file).replace("SIZE", r"[0-9]+[KMG]B(\.rsvd)?").replace(r"\*", ".+")
    return re.fullmatch(pattern, asked) is not None or asked == file


def _is_v1(pointer: str, asked: str) -> bool:
    return kernel_needs.of_pointer(pointer)[2] == kernel_needs.V1 or asked.endswith(("_in_bytes", "_us"))


def _rule(asked: str) -> "Iterator[JsonObject]":
    from runtime.reference.rules import rules

    known = rules()
    for name in (asked, f"host:{asked}", f"schema:{asked}"):
        if name in known:
            section, meaning = known[name]
            yield {
                "kind": "rule of validate",
                "name": name,
                "title": "",
                "description": meaning,
                "where": [],
                "section": section,
                "example": None,
            }


def vocabulary_of_all() -> "list[str]":
    """Every word that `find` knows, but for signals and the items of cgroup files."""
    from runtime.plan.mount_options import OPTIONS
    from runtime.reference.rules import rules

    words = {pointer.rpartition("/")[2] for pointer in places.places()} - {"*"}
    words |= {str(value) for place in places.places().values() for value in place.node.get("enum", ())}
    words |= {*OPTIONS, *vocabulary.FILE_SYSTEM_OPTIONS, *vocabulary.CAPABILITIES, *vocabulary.RLIMITS}
    words |= {*vocabulary.NAMESPACES, *rules(), *operations()}
    words |= {*annotations(), *vocabulary.UNIFIED}
    words |= {option for _, option, _, _ in kernel_needs.NEEDS.values() if option}
    words |= {file for files in cgroup_files().values() for file in files}
    return sorted(words)


def nearest(asked: str) -> "list[str]":
    """The known words or pointers nearest to one that is not known."""
    from difflib import get_close_matches

    if "/" in asked or "." in asked:
        text = "/" + asked.strip("/.").replace(".", "/")
        pointers = {pointer.lower(): pointer for pointer in places.places()}
        close = get_close_matches(text.lower(), pointers, NEAR, 0.75)
        if close:
            return [pointers[one] for one in close]
    folded = {word.lower(): word for word in vocabulary_of_all()}
    return [folded[one] for one in get_close_matches(asked.lower(), folded, NEAR, 0.7)]
