"""What a person did: items, events, and how they are read, cleaned and weighed."""
