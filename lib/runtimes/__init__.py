"""Runtimes: what a network ships in, how fast it is there, and how much memory it takes."""
