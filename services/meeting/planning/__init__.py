"""Schedules, calendars, and invitations by mail."""
