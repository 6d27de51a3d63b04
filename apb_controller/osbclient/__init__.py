"""The async Open Service Broker client: one request of the rules in, one answer out. It retries nothing and decides nothing."""
