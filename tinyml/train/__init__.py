"""Training on the device: the end of a network learns, by filtered gradients."""
