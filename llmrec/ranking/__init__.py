"""In which order: signals, their fusion, and the ranking they make."""
