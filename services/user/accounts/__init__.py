"""Accounts: administered, shown, copied out, deleted."""
