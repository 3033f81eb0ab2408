"""The meeting service: meetings, their participants, and who may join.

Owns the database `parley_meeting`. Calls signaling (events to a room) and media (to close one). Never touches a
connection or a packet: what it decides, it writes into a ticket.
"""
