//! What the benchmarks of anti-entropy work on: made-up entries, patterns, pairs of replicas, and the finding of what
//! differs between them. docs/benchmarks.md says how to run them and what is counted.

mod data;
mod finding;
mod pair;
mod patterns;
mod synchronising;

pub use data::{Entry, Item, Key, Value, entries, entry_of, item, key, now, value};
pub use finding::{Finding, by_tree, find, find_with, short};
pub use pair::{Pair, equal, filled};
pub use patterns::{RealPatterns, Revision, made_up_pattern, real_patterns};
pub use synchronising::{Synchronised, synchronise};
