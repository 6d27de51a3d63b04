"""What a controller runs on: objects that are kept up to date, a queue of what to look at, turns at brokers. It knows no kind."""
