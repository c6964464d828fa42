"""What events say about a person: interests, their hierarchy and their evidence."""
