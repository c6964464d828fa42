"""Which items of a catalogue to consider."""
