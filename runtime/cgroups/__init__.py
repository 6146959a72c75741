"""Control groups: where a container's are, how they are made and removed, which limits are written. v1, v2 and hybrid hosts.

`layout`, `intent` and `resources` (with `v1`, `v2`, `setting` and `devices`) are pure; `tree` and `apply` act.
`systemd/` is the other manager.
"""
