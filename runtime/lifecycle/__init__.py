"""A container's lifecycle: the state table, the store on disk, hooks, and one module for each operation.

It does not parse arguments, and does not know how init is started (``runtime.process``) or how cgroups are laid out.
"""
