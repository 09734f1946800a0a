"""Ray and the processes behind it: pool, cluster, isolation of single crystals, jobs."""
