//! What the benchmarks share: generated entries and patterns, pairs of replicas that differ in a known way, and
//! sessions between them that are counted. docs/benchmarks.md says how to run the benchmarks and what they count.

mod data;
mod finding;
mod pair;
mod patterns;
mod synchronising;

pub use data::{Entry, Item, Key, Value, entries, entry_of, item, key, now, value};
pub use finding::{Finding, by_tree, find, find_with, short};
pub use pair::{Pair, equal, filled, known_to_many};
pub use patterns::{RealPatterns, Revision, made_up_pattern, real_patterns};
pub use synchronising::{Synchronised, synchronise};
