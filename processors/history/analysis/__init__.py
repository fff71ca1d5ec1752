"""Analysis of an archive: events as typed tables, asked in SQL or exported."""
