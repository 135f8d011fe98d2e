"""The kernel floor: userfaultfd, memory, and what the kernel permits to whom."""
