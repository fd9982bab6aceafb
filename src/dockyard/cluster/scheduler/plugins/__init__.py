"""One plugin a file: a pod and the frame come in, a mask or a score for each node goes out."""
