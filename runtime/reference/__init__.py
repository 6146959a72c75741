"""What people look up with ``ocirun explain``: the properties of a config and the words in it. Cold, and pure but for `sources`."""
