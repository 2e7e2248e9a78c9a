"""What the package needs of the machine: atomic files, caches, processors, progress bars."""
