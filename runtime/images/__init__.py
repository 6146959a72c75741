"""Images become bundles: layouts and archives are read, layers unpacked into a store, bundles made from them. Cold.

What an image says is its author's, who is trusted with nothing: each digest is verified, each name is resolved within the
layer's own directory, and a layer or bundle has its name only when it is whole.
"""
