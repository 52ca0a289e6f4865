"""Training on a target: what is asked, where everything lies, and what the firmware is made of."""
