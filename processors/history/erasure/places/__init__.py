"""The places that hold something of a listener: what each holds, and how it is erased there."""
