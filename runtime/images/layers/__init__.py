"""A layer, from an archive to files and back: `tree` unpacks one on top of those `below`, `writer` writes what has changed."""
