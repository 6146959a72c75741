"""What this host can do for containers, for ``ocirun doctor``: rows that say what was found, what it means, and the remedy.

Cold. Nothing is changed: files are read, system calls are made with arguments that the kernel refuses, and what has to be
tried for real is tried in a child, in namespaces that end with it.
"""
