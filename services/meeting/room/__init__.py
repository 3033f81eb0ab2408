"""What people do beside talking: chat, polls, shared notes; and how the room hears of it."""
