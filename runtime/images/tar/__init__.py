"""A tar archive as a stream: `header` is one block, `pax` the records of a PAX header, `reader` and `writer` the entries. Pure."""
