"""Migrations of a service's database: `python -m chassis.migration FOLDER`."""
