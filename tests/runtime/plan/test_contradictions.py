"""Mount options that others take back: removing them changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.plan import contradictions
from runtime.plan.mount_options import NAMES, Options, parse

MANY = st.lists(st.sampled_from([*NAMES, "size=1m", "size=2m", "mode=755"]), max_size=8)


def meaning(options: Options) -> list[object]:
    """What a list of options does; the file system takes the last value of each of its own."""
    data = dict(option.partition("=")[::2] for option in options.data)
    return [getattr(options, name) for name in Options.__slots__ if name != "data"] + [data]


@given(MANY)
def test_an_option_without_effect_has_none(options: list[str]) -> None:
    """Without an option that is told to have no effect, the others mean the same."""
    if {"bind", "rbind"} & set(options):
        return
    mount = {"destination": "/a", "type": "tmpfs", "source": "t", "options": options}
    for pointer, _, message, _, _ in contradictions.rows({"mounts": [mount]}):  # type: ignore[typeddict-item]
        place = int(pointer.rpartition("/")[2])
        if "has no effect" in message:
            assert meaning(parse(options[:place] + options[place + 1 :])) == meaning(parse(options)), message


@given(st.sampled_from(["ro,rw", "rw,ro", "nosuid,suid", "rshared,rprivate", "size=1m,size=2m", "sync,async"]))
def test_opposites_are_told(options: str) -> None:
    """The first of two opposites has no effect, whatever is between them."""
    first, second = options.split(",")
    mount = {"destination": "/a", "type": "tmpfs", "source": "t", "options": [first, "nodev", second]}
    found = list(contradictions.rows({"mounts": [mount]}))  # type: ignore[typeddict-item]
    assert [(row[0], row[2]) for row in found] == [
        ("/mounts/0/options/0", f"{first} has no effect, the later {second} counts")
    ]


@given(st.permutations(["ro", "nosuid", "noexec", "nodev", "rslave", "rshared", "noatime", "mode=755", "size=1m"]))
def test_options_that_go_together(options: list[str]) -> None:
    """Options that do not touch each other are not told."""
    mount = {"destination": "/a", "type": "tmpfs", "source": "t", "options": options}
    assert not list(contradictions.rows({"mounts": [mount]}))  # type: ignore[typeddict-item]
