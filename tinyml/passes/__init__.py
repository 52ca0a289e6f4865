"""Graph rewrites that keep every output byte."""
