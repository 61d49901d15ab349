"""What excites a feature map, and what it uses of the pixels."""
