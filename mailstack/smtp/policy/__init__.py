"""Policy: functions from facts to a verdict."""
