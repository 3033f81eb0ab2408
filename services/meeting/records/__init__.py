"""What is left of meetings: reports, what is kept of a person, and until when."""
