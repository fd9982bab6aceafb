"""Copies between containers, hosts and tar streams: untrusted paths come in, none leads out."""
