"""How sessions begin and end, and the keys and tokens that they go by."""
