"""Time, tasks and queues, as arguments."""
