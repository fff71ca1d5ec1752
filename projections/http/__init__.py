"""What stands before every route: whose requests are taken, what they may hold, and what HEAD means."""
