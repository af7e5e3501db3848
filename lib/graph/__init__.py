"""What DVC must know: which code a stage runs, and which stages belong together."""
