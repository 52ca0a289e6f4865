"""Firmware on an emulator, a board or the host: bytes in, bytes out."""
