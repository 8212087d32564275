"""What students handed in: found in folders and zips, compared, and looked at."""
