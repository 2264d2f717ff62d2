"""What is fast and what is not: each figure measured beside what a user would pick instead."""
