"""What a request runs: the feed, the match score, similar movies and onboarding, a module each."""
