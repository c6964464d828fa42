"""The command line: one file a command, rendering and failures in files of their own."""
