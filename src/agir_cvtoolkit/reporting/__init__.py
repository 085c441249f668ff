"""What people look at: overlays and contact sheets."""
