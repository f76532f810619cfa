//! `riblt`: one side sends coded symbols of its set until the other can decode the difference.

use std::fmt;
use std::sync::Arc;

use ::riblt::{CodedSymbol, RatelessIBLT, Symbol, UnmanagedRatelessIBLT};

use super::data::{Data, Entry, identifier, name_in};
use super::{Finding, Peer};

/// Coded symbols of the default mapping and hash.
pub(crate) struct Coded;

/// An element of the set.
#[derive(Clone)]
pub(crate) struct Element([u8; 32]);

/// The key in hexadecimal digits, which [`decode`] reads.
impl fmt::Debug for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", name_in(&self.0))
    }
}

impl Symbol for Element {
    const BYTE_ARRAY_LENGTH: usize = 32;

    fn encode_to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode_from_bytes(bytes: &Vec<u8>) -> Self {
        Self(bytes[..].try_into().expect("symbols have 32 bytes"))
    }
}

/// A set whose elements are not copied for each iteration.
#[derive(Clone)]
pub(crate) struct Set(Arc<Vec<Element>>);

impl IntoIterator for Set {
    type Item = Element;
    type IntoIter = Elements;

    fn into_iter(self) -> Elements {
        Elements { set: self.0, next: 0 }
    }
}

/// See [`Set`].
pub(crate) struct Elements {
    set: Arc<Vec<Element>>,
    next: usize,
}

impl Iterator for Elements {
    type Item = Element;

    fn next(&mut self) -> Option<Element> {
        self.next += 1;
        self.set.get(self.next - 1).cloned()
    }
}

type Table = RatelessIBLT<Element, Set>;

/// A set and its first coded symbols.
pub(crate) struct Side {
    set: Set,
    table: Table,
    /// How many coded symbols the side keeps. A session makes more.
    kept: usize,
}

impl Side {
    fn new(set: Set) -> Self {
        let table = Table::new(set.clone());
        Self { kept: table.coded_symbols.len(), table, set }
    }
}

impl Peer for Coded {
    const NAME: &'static str = "riblt 0.1.1";
    const NOTES: &'static str = "a set of 32-byte symbols, here key and half of the value; cells in bincode; is told \
                                 the fewest cells that decode, found outside the count; keeps 1,024 cells, which are \
                                 made anew after every change; unkeyed SipHash, cells from a peer are not checked";
    const MEMORY: &'static str = "the cells, less 32 B of symbol";
    const DATA_BYTES: u64 = 32;
    type Side = Side;
    type Pair = (Side, Side, Option<usize>);

    fn build(entries: &[Entry]) -> Side {
        Side::new(Set(Arc::new(entries.iter().map(|&entry| Element(identifier(entry))).collect())))
    }

    fn upsert(side: &mut Side, entry: Entry) {
        let changed = identifier(entry);
        // Dropping the table first leaves one holder of the set, so that it can be changed in place.
        side.table = Table::new(Set(Arc::default()));
        let set = Arc::get_mut(&mut side.set.0).expect("the table was the other holder");
        if let Some(element) = set.iter_mut().find(|element| element.0[..16] == changed[..16]) {
            *element = Element(changed);
        }
        *side = Side::new(side.set.clone());
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        (Self::build(&data.ours()), Self::build(&data.theirs()), None)
    }

    fn reconcile((ours, theirs, needed): &mut Self::Pair) -> Finding {
        let cells = *needed.get_or_insert_with(|| fewest_cells(&mut ours.table, &mut theirs.table));
        for side in [&mut *ours, &mut *theirs] {
            side.table.coded_symbols.truncate(side.kept);
        }
        Finding::measure(|wire| {
            wire.send::<usize>(&cells);
            theirs.table.extend_coded_symbols(cells - 1);
            let received: Vec<CodedSymbol<Element>> = wire.send(&theirs.table.coded_symbols[..cells]);
            let (keys, _) = decode(&mut ours.table, received);
            keys
        })
    }
}

/// The difference, and whether all of it could be decoded.
fn decode(ours: &mut Table, received: Vec<CodedSymbol<Element>>) -> (Vec<u128>, bool) {
    let mut difference = ours.collapse(&UnmanagedRatelessIBLT { coded_symbols: received });
    let peeled = difference.peel_all_symbols();
    // The type of what is peeled cannot be named outside of the library. Its example prints the symbols, too.
    let key = |printed: &str| u128::from_str_radix(printed.split(['(', ')']).nth(1)?, 16).ok();
    let keys = peeled.iter().filter_map(|symbol| key(&format!("{symbol:?}"))).collect();
    (keys, difference.is_empty())
}

fn fewest_cells(ours: &mut Table, theirs: &mut Table) -> usize {
    let mut decodes = |cells: usize| {
        theirs.extend_coded_symbols(cells - 1);
        decode(ours, theirs.coded_symbols[..cells].to_vec()).1
    };
    let mut enough = 1;
    while !decodes(enough) {
        enough *= 2;
    }
    let mut too_few = enough / 2;
    while enough - too_few > 1 {
        let middle = usize::midpoint(too_few, enough);
        if decodes(middle) { enough = middle } else { too_few = middle }
    }
    enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Coded>();
    }
}
