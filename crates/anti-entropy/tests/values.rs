//! Serde values that nest deep, claim much or have no order: they are refused by name, and harm nobody.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::value::{Encoded, MAX_EMPTY_ELEMENTS, MAX_NESTING, try_serde_encode};
use anti_entropy::{Discrepancy, Error, Keyed, LastWriterWins, MemoryStore, Replica, Replicated};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NOW: Now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };

fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

fn replica<V: Replicated>() -> Replica<V> {
    Replica::open(MemoryStore::new(), LastWriterWins, seed(1)).expect("memory does not fail")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);
anti_entropy::replicated!(Tree, key: u8 = |_| 1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Tuple(u8, Box<Chain>),
    Struct { next: Box<Chain> },
    Newtype(Box<Chain>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Optional(Option<Box<Optional>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Maps(BTreeMap<u8, Maps>);

/// A tree of so many vectors, each in the one before.
fn tree(levels: usize) -> Tree {
    (1..levels).fold(Tree(Vec::new()), |inner, _| Tree(vec![inner]))
}

fn decode<T>(body: Vec<u8>) -> Result<T, anti_entropy::value::DecodeError>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    Keyed::<u8, T>::decode(&1, &Encoded::from_body(body)).map(|item| item.value)
}

#[test]
fn twenty_kilobytes_of_nesting_are_an_error_and_no_stack_overflow() {
    let nested = |levels: usize| [vec![1; levels - 1], vec![0]].concat();
    for levels in [MAX_NESTING + 1, 20_000, 1_000_000] {
        let error = decode::<Tree>(nested(levels)).unwrap_err();
        assert!(error.to_string().contains("nests deeper than 128 levels"), "{error}");
        assert!(Tree::decode(&1, &Encoded::from_body(nested(levels))).is_err());
        assert!(decode::<Optional>(nested(levels + 1)).is_err());
        assert!(decode::<Chain>([[1, 0].repeat(levels), vec![0]].concat()).is_err());
        assert!(decode::<Chain>([vec![2; levels], vec![0]].concat()).is_err());
        assert!(decode::<Chain>([vec![3; levels], vec![0]].concat()).is_err());
        assert!(decode::<Maps>([[1, 7].repeat(levels), vec![0]].concat()).is_err());
    }
    assert_eq!(decode::<Tree>(nested(MAX_NESTING)), Ok(tree(MAX_NESTING)));
}

#[test]
fn a_write_that_nests_too_deep_is_refused_and_says_what_to_do() {
    let mut replica = replica::<Tree>();
    replica.write(tree(MAX_NESTING), NOW).unwrap();
    let before = (replica.root(), replica.context_hash());
    let error = replica.write(tree(MAX_NESTING + 1), NOW).unwrap_err();
    assert!(matches!(error, Error::NotEncodable(_)), "{error:?}");
    assert!(
        error.to_string().contains("keep it flatter") && error.to_string().contains("nothing was changed"),
        "{error}"
    );
    assert_eq!((replica.root(), replica.context_hash()), before);
    assert_eq!(replica.read(&1).unwrap().value(), Some(&tree(MAX_NESTING)));
}

#[test]
fn a_key_that_nests_too_deep_is_refused() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Path(Vec<Path>);
    let deep = (0..MAX_NESTING).fold(Path(Vec::new()), |inner, _| Path(vec![inner]));
    let mut replica = replica::<Keyed<Path, u8>>();
    assert!(matches!(replica.write(Keyed::new(deep.clone(), 1), NOW), Err(Error::NotEncodable(_))));
    assert!(matches!(replica.delete(&deep, NOW), Err(Error::NotEncodable(_))));
    assert!(matches!(replica.read(&deep), Err(Error::NotEncodable(_))));
}

#[test]
fn every_way_to_nest_counts_alike_when_it_is_written_and_read() {
    fn deepest<T>(value: impl Fn(usize) -> T) -> usize
    where
        T: Serialize + DeserializeOwned + PartialEq + fmt::Debug + Clone + Send + Sync + 'static,
    {
        let deepest = (1..300).take_while(|levels| try_serde_encode(&value(*levels)).is_ok()).last().expect("one is");
        let bytes = try_serde_encode(&value(deepest)).expect("it was encoded before");
        assert_eq!(decode::<T>(bytes), Ok(value(deepest)));
        deepest
    }
    assert_eq!(deepest(tree), MAX_NESTING);
    // The outermost of these is no level: it has no content.
    let chain = |levels, link: fn(Box<Chain>) -> Chain| (1..=levels).fold(Chain::End, |inner, _| link(Box::new(inner)));
    assert_eq!(deepest(|levels| chain(levels, Chain::Newtype)), MAX_NESTING);
    assert_eq!(deepest(|levels| chain(levels, |next| Chain::Tuple(1, next))), MAX_NESTING);
    assert_eq!(deepest(|levels| chain(levels, |next| Chain::Struct { next })), MAX_NESTING);
    let optional = |levels| (1..=levels).fold(Optional(None), |inner, _| Optional(Some(Box::new(inner))));
    assert_eq!(deepest(optional), MAX_NESTING);
    let maps = |levels| (1..levels).fold(Maps(BTreeMap::new()), |inner, _| Maps(BTreeMap::from([(7, inner)])));
    assert_eq!(deepest(maps), MAX_NESTING);
}

thread_local! {
    /// For how many elements collections were told to make room.
    static ROOM: Cell<usize> = const { Cell::new(0) };
}

/// A list that makes as much room as it is told to expect.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Trusting(Vec<Trusting>);

impl<'de> Deserialize<'de> for Trusting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Vec<Trusting>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                ROOM.set(ROOM.get() + seq.size_hint().unwrap_or(0));
                let mut all = Vec::new();
                while let Some(element) = seq.next_element()? {
                    all.push(element);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(Elements).map(Self)
    }
}

#[test]
fn lengths_that_claim_too_much_make_no_room() {
    // Each of 100 nested lists claims as many elements as bytes follow.
    let length = 43_690_u32;
    let claim = postcard_length(length);
    let mut bytes = claim.repeat(100);
    bytes.resize(bytes.len() + length as usize, 0);
    let error = decode::<Trusting>(bytes.clone()).unwrap_err();
    assert!(error.to_string().contains("more elements than its bytes can have"), "{error}");
    assert!(ROOM.get() <= bytes.len() + MAX_EMPTY_ELEMENTS, "room for {}", ROOM.get());
    // What is true gets its room at once.
    ROOM.set(0);
    decode::<Trusting>(try_serde_encode(&vec![Vec::<u8>::new(); 1_000]).unwrap()).unwrap();
    assert_eq!(ROOM.get(), 1_000);
}

fn postcard_length(length: u32) -> Vec<u8> {
    try_serde_encode(&length).expect("a number encodes")
}

#[test]
fn elements_without_bytes_are_counted() {
    let billions = try_serde_encode(&(1_u64 << 60)).unwrap();
    assert!(decode::<Vec<()>>(billions.clone()).is_err());
    assert!(decode::<Vec<((), [u8; 0])>>(billions).is_err());
    let most = try_serde_encode(&vec![(); MAX_EMPTY_ELEMENTS]).unwrap();
    assert_eq!(decode::<Vec<()>>(most).unwrap().len(), MAX_EMPTY_ELEMENTS);
    // Three bytes of length are three elements more.
    assert!(try_serde_encode(&vec![(); MAX_EMPTY_ELEMENTS + 3]).is_ok());
    let error = try_serde_encode(&vec![(); MAX_EMPTY_ELEMENTS + 4]).unwrap_err();
    assert!(error.to_string().contains("keep their number instead"), "{error}");
}

#[test]
fn maps_and_sets_without_order_are_refused_by_type_whatever_they_hold() {
    fn refused<T>(values: impl IntoIterator<Item = T>)
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let mut replica = replica::<Keyed<u8, T>>();
        let empty = replica.root();
        for value in values {
            let error = replica.write(Keyed::new(1, value), NOW).unwrap_err();
            assert!(matches!(error, Error::NotEncodable(_)), "{error}");
            assert!(error.to_string().contains("use BTreeMap or BTreeSet"), "{error}");
            assert_eq!(replica.root(), empty);
        }
    }
    refused((0..3).map(|length| (0..length).map(|key| (key, key)).collect::<HashMap<u8, u8>>()));
    refused((0..3).map(|length| (0..length).collect::<HashSet<u8>>()));
    refused([Some(vec![(1_u8, HashSet::from([2_u8]))])]);
    refused([BTreeMap::from([(1_u8, HashMap::from([(2_u8, 3_u8)]))])]);
}

thread_local! {
    static RANDOM: RefCell<fastrand::Rng> = const { RefCell::new(fastrand::Rng::with_seed(7)) };
}

/// A map with an order that differs from copy to copy, of which the deserializer sees no name that it knows.
#[derive(Clone, Debug)]
struct Shuffled(Vec<(u8, u8)>);

impl Shuffled {
    fn new(mut entries: Vec<(u8, u8)>) -> Self {
        RANDOM.with_borrow_mut(|random| random.shuffle(&mut entries));
        Self(entries)
    }
}

impl Serialize for Shuffled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Shuffled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Shuffled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shuffled, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Shuffled::new(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Of 10,000 such values with two entries, 10,000 / 2^8 = 39 get through the eight tries, and half of them through the
/// one that comes before every write.
#[test]
fn other_maps_without_order_get_through_with_the_probability_that_is_stated() {
    let mut replica = replica::<Keyed<u32, Shuffled>>();
    let written = |key: &u32| {
        let value = Shuffled::new(vec![(1, 1), (2, 2)]);
        let error = replica.write(Keyed::new(*key, value), NOW).err();
        assert!(error.as_ref().is_none_or(|error| matches!(error, Error::NotEncodable(_) | Error::NotCanonical)));
        error.is_none()
    };
    let written = (0..10_000).filter(written).count();
    assert!(written <= 39, "{written} of 10,000 were acknowledged by luck");
}

/// A store whose copies are one.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<MemoryStore>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        self.0.lock().expect("no test panics while it holds it")
    }
}

impl anti_entropy::Store for Shared {
    fn load(&self, key: anti_entropy::KeyHash) -> Result<Option<Vec<u8>>, anti_entropy::store::StoreError> {
        self.lock().load(key)
    }

    fn scan(
        &self,
        range: anti_entropy::KeyRange,
        visit: &mut dyn FnMut(anti_entropy::KeyHash, &[u8]) -> std::ops::ControlFlow<()>,
    ) -> Result<(), anti_entropy::store::StoreError> {
        self.lock().scan(range, visit)
    }

    fn meta(&self, slot: anti_entropy::store::MetaSlot) -> Result<Option<Vec<u8>>, anti_entropy::store::StoreError> {
        self.lock().meta(slot)
    }

    fn commit(&mut self, commit: anti_entropy::store::Commit) -> Result<(), anti_entropy::store::StoreError> {
        self.lock().commit(commit)
    }
}

/// A store with one record whose value is this map.
fn store_of(map: &BTreeMap<u8, u8>) -> Shared {
    let store = Shared::default();
    let mut replica = opened(&store, 1).expect("it is empty");
    replica.write(Keyed::new(1_u8, map.clone()), NOW).expect("memory does not fail");
    store
}

fn opened<V>(store: &Shared, number: u8) -> Result<Replica<Keyed<u8, V>>, Error>
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    Replica::open(store.clone(), LastWriterWins, seed(number))
}

#[test]
fn a_record_that_its_type_cannot_read_is_told_apart_from_a_damaged_one() {
    let store = store_of(&BTreeMap::from([(1, 1), (2, 2), (3, 3)]));
    for number in 2..42 {
        let Err(error) = opened::<HashMap<u8, u8>>(&store, number) else { panic!("it has no order") };
        assert!(matches!(error, Error::TypeCannotRead { .. }), "{error}");
        assert!(error.to_string().contains("restoring the store does not help"), "{error}");
    }
    let as_shuffled = (50..90).map(|number| opened::<Shuffled>(&store, number).err());
    for error in as_shuffled.flatten() {
        // Five of six orders are not the one that was written: (5/6)^8 is one in four.
        let certain = matches!(error, Error::TypeCannotRead { .. });
        assert!(certain || matches!(error, Error::DamagedRecord { .. }), "{error}");
    }
    opened::<BTreeMap<u8, u8>>(&store, 99).expect("nothing is wrong with the bytes");
}

#[test]
fn an_audit_tells_them_apart_too() {
    let store = Shared::default();
    let mut replica = opened::<HashMap<u8, u8>>(&store, 2).unwrap();
    // Another process writes with another type, which is how such records come to be.
    let mut other = opened::<BTreeMap<u8, u8>>(&store, 3).unwrap();
    other.write(Keyed::new(1, BTreeMap::from([(1, 1)])), NOW).unwrap();
    let audit = replica.audit().unwrap();
    assert!(matches!(audit.discrepancies[..], [(_, Discrepancy::TypeCannotRead(_))]), "{audit:?}");
}
