"""How values lie in the database in few bytes, and where: packed values, and partitions on PostgreSQL."""
