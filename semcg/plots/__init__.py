"""Arrays in, Figure out: reads nothing, writes nothing, shows nothing."""
