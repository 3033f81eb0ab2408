"""Other servers that ours is measured beside, and what drives them: signaling alone, the media clients are the same."""
