"""Faster twins of the layers' definitions: same names, same arguments, same results to rounding."""
