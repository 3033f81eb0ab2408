"""The user service: accounts, sessions, and the keys that sign access tokens.

Owns the database `parley_user`. Calls nobody. Never knows of meetings, and never shows a password or a refresh token
again once it has been given.
"""
