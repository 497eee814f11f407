"""The content of maps, read when a run starts, and the site's decisions on codes."""
