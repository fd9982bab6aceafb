"""Whose images are taken: policy.json and signatures come in, a refusal or nothing goes out."""
