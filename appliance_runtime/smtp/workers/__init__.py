"""Receiving in processes of their own (`--workers`)."""
