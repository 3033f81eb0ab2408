"""The five services. Each has one shape: app, config, servicer, domain, store, peers, and what it is about."""
