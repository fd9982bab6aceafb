"""Go templates (text/template) in the part that ``--format`` needs: text and a value come in,
text goes out."""
