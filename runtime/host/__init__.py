"""Reading the machine into facts. Decides nothing."""
