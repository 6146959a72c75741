"""A container's cgroups as those of a systemd unit, with `--systemd-cgroup`.

`scope` makes, changes and stops the unit, over `dbus`. The rest is pure: `units` gives its name and where its cgroups
are, `properties` its limits as systemd's properties, `annotations` and `variants` the properties from annotations.
"""
