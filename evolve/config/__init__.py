"""Configuration files, problem folders and plug-in references."""
