"""What a stranger's image would do: layers and a configuration come in, findings go out."""
