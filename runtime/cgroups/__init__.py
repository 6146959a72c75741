"""Control groups: where a container's are, made and removed, limits written. v1, v2 and hybrid hosts.

`layout` and `resources` (with `v1`, `v2` and `devices`) are pure; `tree` and `apply` act. `systemd/` is the other manager.
"""
