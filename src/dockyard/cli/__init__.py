"""One file per noun a user types; words come in, exit codes go out."""
