"""The media service: the selective forwarding unit.

A process is a worker: one event loop, one UDP port, the rooms that are placed on it. Owns its rooms' media in memory
and the placement of rooms in Redis. Calls signaling (events to a room), ai (who is speaking) and other workers (for
rooms that live there). Never decodes what nobody has asked it to decode.
"""
