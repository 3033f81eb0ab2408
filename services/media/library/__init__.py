"""The media library: people's files, uploaded and downloaded.

A process of its own beside the media workers, so that a gigabyte on its way to the store delays no packet of a call. Owns
the files' bytes in the object store and their rows in parley_media. Calls nobody. Never looks into a file further than its
first bytes.
"""
