"""CRIU as a service: its RPC on the wire, its requests, a running `criu swrk`, and its log. Knows no container."""
