"""What generated projects carry as it is; it knows nothing of tinyml but its C interface."""
