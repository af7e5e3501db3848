"""What DVC must know: which code a stage runs, which stages belong together, and how to run them."""
