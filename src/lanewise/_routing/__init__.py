"""Where a call goes next, pure: the plan, the fallback chain, retries, candidates. Time and jitter are arguments."""
