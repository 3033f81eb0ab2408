"""The signaling service: live connections, presence, and each room's event log.

Owns its keys in Redis and nothing that must outlive a meeting. Calls meeting (who is present) and media (a client's
offers and answers). Never decides who may join: it believes the meeting service's tickets.
"""
