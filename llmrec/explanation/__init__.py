"""Why an item is where it is, from the numbers that put it there."""
