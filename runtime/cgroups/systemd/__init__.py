"""A container's cgroups as a unit of systemd's, with `--systemd-cgroup`.

`scope` makes, changes and stops it, over `dbus`. The rest is pure: `units` says what it is called and where it is,
`properties` what its limits are as systemd's properties, `annotations` and `variants` what annotations add to them.
"""
