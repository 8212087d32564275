"""The same net in other engines, a module for each; `child` says what an engine is."""
