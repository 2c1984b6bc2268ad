"""Where this kernel runs, and what follows from it for a sign-in."""
