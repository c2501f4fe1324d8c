"""`watchdog web`: a page, figures for other instruments, and JSON, all of it read from the record by a process that can change nothing."""
