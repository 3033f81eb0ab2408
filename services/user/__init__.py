"""The user service: accounts, sessions, and the keys that sign access tokens.

Owns the database `parley_user`. Calls the meeting and media services in people's names alone: to ask whether a meeting
takes guests, to export what is somebody's, and to delete it with their account. Never keeps anything of meetings, and
never shows a password, a refresh token or a key's secret again once it has been given.
"""
