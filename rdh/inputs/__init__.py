"""What goes in: features of a frozen backbone or prepared images, in batches on the device."""
