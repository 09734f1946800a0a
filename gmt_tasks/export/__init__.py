"""Hits as files that open in the tools of the field, and their tensors in the frame of handbooks."""
