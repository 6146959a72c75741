"""Starting init, talking to it, and what its program is given: terminals, filters."""
