"""A client that walks a running Parley from outside and tells what it found: `python -m loadtest.client --url URL`."""
