"""Directories of files on disk: one layer's or a copy's (`tree`), and several layers as overlayfs shows them together (`merged`).

No name is resolved by the kernel through a link. `copy` puts layers into one directory, `difference` compares with them.
"""
