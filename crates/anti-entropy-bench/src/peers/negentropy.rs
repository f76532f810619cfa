//! `negentropy`: a set of 32-byte ids in a sorted vector. Its messages are its wire.

use ::negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::data::{Data, Entry, identifier, name_in};
use super::{Finding, Peer};

/// The vector that comes with it.
pub(crate) struct Vector;

impl Peer for Vector {
    const NAME: &'static str = "negentropy 0.5.3";
    const NOTES: &'static str = "its own wire, frames unlimited; a set of ids, here key and half of the value, no \
                                 hashing of its own when built, all timestamps 0; sorts again after an insertion and \
                                 takes nothing out; sums of ids under SHA-256";
    const MEMORY: &'static str = "the vector of ids, with keys";
    const DATA_BYTES: u64 = 0;
    type Side = NegentropyStorageVector;
    type Pair = (Self::Side, Self::Side);

    fn build(entries: &[Entry]) -> Self::Side {
        let mut storage = NegentropyStorageVector::with_capacity(entries.len());
        for &entry in entries {
            storage.insert(0, Id::from_byte_array(identifier(entry))).expect("it is not sealed");
        }
        storage.seal().expect("it is not sealed");
        storage
    }

    /// Only puts the new id in: the old one cannot be taken out.
    fn upsert(storage: &mut Self::Side, entry: Entry) {
        storage.unseal().expect("unsealing does not fail");
        storage.insert(0, Id::from_byte_array(identifier(entry))).expect("it is not sealed");
        storage.seal().expect("it is not sealed");
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        (Self::build(&data.ours()), Self::build(&data.theirs()))
    }

    fn reconcile((ours, theirs): &mut Self::Pair) -> Finding {
        Finding::measure(|wire| {
            let mut client = Negentropy::borrowed(ours, 0).expect("no limit is a limit");
            let mut server = Negentropy::borrowed(theirs, 0).expect("no limit is a limit");
            let (mut have, mut need) = (Vec::new(), Vec::new());
            let mut query = Some(client.initiate().expect("it is sealed"));
            while let Some(bytes) = query {
                wire.count(&bytes);
                let answer = server.reconcile(&bytes).expect("the query is sound");
                wire.count(&answer);
                query = client.reconcile_with_ids(&answer, &mut have, &mut need).expect("the answer is sound");
            }
            have.iter().chain(&need).map(|id| name_in(id)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Vector>();
    }
}
