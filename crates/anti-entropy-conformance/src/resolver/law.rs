/// Two samples have the same key; otherwise nothing is checked.
pub const SAMPLES: &str = "there are samples in conflict";
/// One resolver gives the same answer to the same versions, whatever it was asked before.
pub const DETERMINISTIC: &str = "the same versions mean the same";
/// Every node's resolver gives the same answer.
pub const SAME_EVERYWHERE: &str = "every node's resolver gives the same answer";
/// Versions that were decoded from their bytes mean what the original ones do.
pub const ENCODED_ONLY: &str = "only what is encoded decides";
/// What the versions of a key mean has this key.
pub const KEY: &str = "the answer has the key of the versions";
/// Replicas that exchanged their concurrent writes read the same.
pub const CONVERGENCE: &str = "replicas that hold the same versions read the same";
