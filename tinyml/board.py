"""Boards as data: board and SoC TOML -> a frozen `Board`."""
