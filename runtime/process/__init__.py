"""Starting init, the parent's half of the handshake, terminals, and what init cannot do itself."""
