"""From a template to a validated object."""
