"""What the HTTP interfaces share: the application, authentication, one place that renders errors."""
