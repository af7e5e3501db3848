"""What params.yaml says: how a section is read and checked, and the axes of a suite."""
