"""A tuning run from rows to an attached adapter: prepare, train, finish, report, canary."""
