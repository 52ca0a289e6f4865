"""Plans to C projects."""
