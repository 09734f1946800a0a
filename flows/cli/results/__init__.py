"""Commands about results: what runs gave, one crystal, searches, files and pictures of hits, the explorer."""
