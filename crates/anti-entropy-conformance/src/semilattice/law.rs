/// Two samples have the same key; otherwise nothing is checked.
pub const SAMPLES: &str = "there are samples to join";
/// `join` keeps the key.
pub const KEY: &str = "the join keeps the key";
/// A value joined with itself is itself.
pub const IDEMPOTENT: &str = "join is idempotent";
/// `a.join(b)` is `b.join(a)`.
pub const COMMUTATIVE: &str = "join is commutative";
/// `a.join(b).join(c)` is `a.join(b.join(c))`.
pub const ASSOCIATIVE: &str = "join is associative";
