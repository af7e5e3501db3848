"""From a masked network to a physically small one, and the proof that both compute the same."""
