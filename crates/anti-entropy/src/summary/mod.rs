//! Layer 2, summary: what two peers compare.
