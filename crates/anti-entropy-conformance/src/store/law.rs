/// What [`open`](super::check_store) gives has no records and no metadata.
pub const NEW_IS_EMPTY: &str = "a new store is empty";
/// Nothing fails without a cause.
pub const SUCCEEDS: &str = "operations succeed while the medium works";
/// Records and metadata come back byte for byte, whatever their length, and also when it is zero.
pub const EXACT: &str = "what was committed is read back exactly";
/// A record is replaced by a new one, and gone when it was removed; removing what is not there changes nothing.
pub const REPLACES: &str = "a commit replaces and removes records";
/// Changing one slot leaves the other and the records as they are.
pub const META_SLOTS: &str = "the metadata slots are independent";
/// After `commit` returned `Ok`, all of its changes are visible.
pub const WHOLE_COMMIT: &str = "a commit is made as a whole";
/// `scan` visits each key once, in ascending order.
pub const SCAN_ORDER: &str = "a scan ascends";
/// `scan` visits the keys of its range, all of them and no others; without an upper end, up to the highest.
pub const SCAN_RANGE: &str = "a scan visits exactly its range";
/// `scan` visits nothing more once the visitor broke.
pub const SCAN_STOPS: &str = "a scan stops when the visitor breaks";
/// `load` and `scan` give the same record at a key.
pub const LOAD_AND_SCAN_AGREE: &str = "load and scan agree";
/// A commit without changes changes nothing.
pub const EMPTY_COMMIT: &str = "an empty commit changes nothing";
/// Closing a store and opening it again changes nothing.
pub const REOPENING: &str = "what was committed survives reopening";
/// After any sequence of commits a store holds what a map would hold.
pub const ANY_SEQUENCE: &str = "any sequence of commits is kept as a map would keep it";
/// After an error that says so, nothing was changed, also after reopening.
pub const UNCHANGED: &str = "an error that claims no change means no change";
/// Whatever became of a commit, after reopening all of it is there or none.
pub const ALL_OR_NOTHING: &str = "a failed commit is kept as a whole or not at all";
/// The failures that the test injects make at least one commit fail; otherwise nothing was checked.
pub const FAILURE_INJECTED: &str = "an injected failure shows";
