//! Layer 1, clock: who wrote what after what.
