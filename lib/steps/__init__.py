"""The body of every stage, one file each under the stage's name."""
