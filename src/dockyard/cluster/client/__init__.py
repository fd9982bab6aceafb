"""The one way to the API: transport, typed client, informers, work queue."""
