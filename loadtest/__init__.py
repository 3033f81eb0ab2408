"""Benchmarks and load generators. `./parley bench` runs every bench_*.py here."""
