"""The state directory of a mount."""
import os


def stored(directory):
    """What lies in an AAP's directory of the store, without the note of who was told."""
    return sorted(name for name in os.listdir(directory) if not name.startswith(".told"))
