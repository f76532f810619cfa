//! Tests with real processes; see `docs/testing.md`.
