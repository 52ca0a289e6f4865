"""The NumPy reference: what every target must compute, byte for byte."""
