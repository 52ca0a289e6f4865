"""Which C kernel runs a node, and with which constants."""
