"""Compile, link and measure generated projects."""
