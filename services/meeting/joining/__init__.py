"""The way in: lobby, door, guests, and what whoever is let in is handed."""
