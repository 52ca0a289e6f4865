"""Where every buffer lies, and the proof that no two collide."""
