"""What the tests of forks run in processes of their own."""
