"""The ai service: models and inference.

Owns a cache of model files and nothing else: what it hears it forgets. Calls media's library, for
recordings of whoever asks.
"""
