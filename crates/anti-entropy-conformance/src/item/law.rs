/// There are samples; otherwise nothing is checked.
pub const SAMPLES: &str = "there are samples to check";
/// None of the functions panics, whatever bytes `decode` is handed.
pub const NO_PANIC: &str = "an item never panics";
/// A key comes back from its postcard encoding, and two keys are equal exactly if their encodings are.
pub const KEY_ENCODING: &str = "keys have one encoding each";
/// `decode` accepts what `encode` made.
pub const ROUND_TRIP: &str = "decode takes back what encode made";
/// Encoding a value twice, its clone, or what was decoded from it gives the same bytes.
pub const CANONICAL: &str = "equal values have equal bytes";
/// A value has the same key after cloning and decoding.
pub const KEY_STABLE: &str = "the key survives";
/// What `decode` accepts under a key has this key.
pub const KEY_GIVEN: &str = "what is decoded under a key has this key";
/// What `decode` accepts encodes to the same bytes again: there is one form of each value.
pub const ONE_FORM: &str = "decode refuses what encode would not have made";
/// Values that are the same have the same digest.
pub const DIGEST_REPEATS: &str = "equal values have equal digests";
/// Values that differ have different digests.
pub const DIGEST_TELLS: &str = "the digest changes with the content";
/// A value that nests too deep is refused when it is written, and what was written is read.
pub const NESTING: &str = "a value that is encoded at its depth is decoded too";
