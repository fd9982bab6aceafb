"""Resources of a specification come in, files of a control group go out; one file a controller."""
