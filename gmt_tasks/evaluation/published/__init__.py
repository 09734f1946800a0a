"""A model measured by the protocol of the GMTNet paper, and the figures of others on the same split."""
