"""From a program to its evaluation, scored outside the sandbox."""
