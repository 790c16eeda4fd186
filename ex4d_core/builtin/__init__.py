"""Components that need nothing but the core; they are plugins like any other."""
