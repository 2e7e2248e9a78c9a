"""Access to the machine and the system: atomic files, caches, processors, progress bars."""
