"""A bundle of an image: `config` makes its config.json, `bundle` makes it, `facts` and `container` read what has become of it."""
