"""Keys and bytes with revisions: memory and SQLite behind one contract."""
