"""The scoreboard as a document and as tables in a terminal."""
