"""What other users and other processes can reach of a process."""
