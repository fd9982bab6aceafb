"""Docker's build checks: a plan comes in, what is questionable in it goes out."""
