"""Prepared sets: images scaled and cut once, then kept in a few large files that are fast to read."""

from tinyalex.data.shards.index import Index, read_index, write_index
from tinyalex.data.shards.shard import Form, ShardEntry, ShardWriter, new_shard, shard_name

__all__ = ["Form", "Index", "ShardEntry", "ShardWriter", "new_shard", "read_index", "shard_name", "write_index"]
