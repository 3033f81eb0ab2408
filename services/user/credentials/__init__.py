"""Passwords, links by mail, second factors, and who may guess."""
