"""What programs are told: the log of events, streams of it, and webhooks."""
