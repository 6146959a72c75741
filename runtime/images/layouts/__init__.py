"""OCI layouts and docker-archives: read through `sources`, their `image` chosen and its `blobs` verified; `layout` writes one."""
