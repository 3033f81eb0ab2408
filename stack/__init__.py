"""The one-machine stack: everything that `./parley` does.

`topology` is the table of processes and ports; `supervisor` starts, watches and stops them; `postgres`, `valkey`,
`envoy`, `nginx` and `services` say how each is run; `cli` is what a person types.
"""
