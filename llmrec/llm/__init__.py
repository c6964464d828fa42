"""The language model behind two verbs, generate and score."""
