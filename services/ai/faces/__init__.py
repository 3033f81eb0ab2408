"""Faces in pictures and their expressions: found, read, and smoothed over time. Sans I/O but for reading model files."""
