"""One file an instruction: a line comes in, a step that changes the stage goes out."""
