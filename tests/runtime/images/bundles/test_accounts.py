"""The user of an image → ids."""

import pytest

from runtime.images.bundles.accounts import user_of

PASSWD = """root:x:0:0:root:/root:/bin/sh
# comment:x:9:9::/:
+nis:x:8:8::/:

ada:x:1000:100:Ada:/home/ada:/bin/sh
1234:x:7:8::/:
big:x:4294967294:4294967294::/:
broken:x:many:1::/:
broken:x:5:6::/:
huge:x:4294967295:1::/:
short:x:3
"""
GROUP = """root:x:0:ada
users:x:100:ada
wheel:x:10:root,ada
staff:x:50:bob,ada
-nis:x:8:ada
ada:x:1000:
"""
USERS = {"passwd": PASSWD, "group": GROUP}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", (0, 0, [])),
        ("root", (0, 0, [10])),
        ("0", (0, 0, [])),
        ("ada", (1000, 100, [0, 10, 50])),
        ("ada:staff", (1000, 50, [])),
        ("ada:7", (1000, 7, [])),
        ("1000", (1000, 100, [])),
        ("1000:7", (1000, 7, [])),
        ("77", (77, 0, [])),
        ("77:wheel", (77, 10, [])),
        (":wheel", (0, 10, [])),
        ("1234", (1234, 0, [])),
        ("big", (4294967294, 4294967294, [])),
        ("broken", (5, 6, [])),
        ("4294967294:4294967294", (4294967294, 4294967294, [])),
    ],
)
def test_users(words, expected):
    """Names are looked up, numbers stand for themselves; only a name without a group has additional groups."""
    assert user_of(words, USERS) == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("eve", "the image's /etc/passwd has no user eve"),
        ("ada:eve", "the image's /etc/group has no group eve"),
        ("comment", "no user comment"),
        ("+nis", "no user"),
        ("short", "no user short"),
        ("ada:", "no group after the colon"),
        ("4294967295", "4294967295 is no user id: the last one is 4294967294"),
        ("0:99999999999", "no group id"),
        ("huge", "no user id"),
        ("-1", "no user -1"),
        ("٣", "no user"),
    ],
)
def test_users_that_the_image_does_not_have(words, reason):
    """Each is an error that says where it was looked for."""
    with pytest.raises(ValueError, match=reason.replace("+", "[+]")):
        user_of(words, USERS)


def test_an_image_without_accounts():
    """Numbers need none, and neither does root by default; a name is an error."""
    none = {"passwd": "", "group": ""}
    assert user_of("5:6", none) == (5, 6, [])
    assert user_of("", none) == (0, 0, [])
    with pytest.raises(ValueError, match="no user root"):
        user_of("root", none)
