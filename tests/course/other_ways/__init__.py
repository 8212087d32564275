"""Right solutions that look unlike the reference: the tests must not mind."""
