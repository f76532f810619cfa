//! The check of types that contain themselves.

use std::format;

use super::{caught, law};
use crate::Violation;
use anti_entropy::Replicated;
use anti_entropy::value::{Encoded, MAX_NESTING};

/// So many levels are handed to `decode`. A stack of 2 MiB overflows at a hundredth of them.
const DEEP: usize = 100_000;
/// So many times 128 levels are encoded: no more, because dropping and cloning a value recurses too.
const TIMES: usize = 8;

/// Checks that values of a type that contains itself are refused when they nest too deep, and do not overflow the stack.
///
/// `nested` returns a value that nests so many levels, at least 1, and is called for up to 1,024. The laws:
///
/// - [`law::NO_PANIC`]: nothing panics.
/// - [`law::NESTING`]: what [`try_encode`](Replicated::try_encode) accepts, `decode` takes back; what it refuses at some
///   depth, it refuses at every greater one.
/// - `decode` returns when it is handed 100,000 levels. An overflow of the stack cannot be caught: it ends the test process,
///   which names the thread `nesting`.
///
/// The bytes of 100,000 levels are made by repeating what one level adds in front of the inner value and behind it. If an
/// encoding puts lengths in front, so that levels add different bytes, the deepest value that encodes is decoded and no
/// more. Hand bytes of such a type to its `decode` in a test of your own.
///
/// ```
/// use anti_entropy_conformance::check_nesting;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Tree(Vec<Tree>);
/// anti_entropy::replicated!(Tree, key: () = |_| ());
///
/// check_nesting(|levels| (1..levels).fold(Tree(vec![]), |inner, _| Tree(vec![inner])))?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
///
/// # Panics
/// If no thread can be started.
pub fn check_nesting<V: Replicated>(nested: impl Fn(usize) -> V) -> Result<(), Violation> {
    let mut deepest = None;
    let mut refused = None;
    for levels in (1..=4).chain((1..=TIMES).map(|times| times * MAX_NESTING)) {
        let value = nested(levels);
        match (caught(|| value.try_encode(), "try_encode")?, refused) {
            (Err(_), _) => refused = refused.or(Some(levels)),
            (Ok(_), Some(less)) => {
                return Err(Violation::new(
                    law::NESTING,
                    format!("{levels} levels are encoded, and {less} are refused"),
                ));
            }
            (Ok(encoded), None) => {
                comes_back(&value, &encoded, levels)?;
                deepest = Some(value);
            }
        }
    }
    let Some(deepest) = deepest else {
        return Err(Violation::new(law::NESTING, "a value of one level is refused"));
    };
    match deep_bytes(&nested)? {
        Some(bytes) => decode_on_a_thread::<V>(deepest.key(), bytes),
        None => Ok(()),
    }
}

fn comes_back<V: Replicated>(value: &V, encoded: &Encoded, levels: usize) -> Result<(), Violation> {
    let broken = |detail| Violation::new(law::NESTING, format!("of {levels} levels, {detail}"));
    let copy = caught(|| V::decode(&value.key(), encoded), "decode")?;
    let copy = copy.map_err(|error| broken(format!("decode refuses what try_encode has accepted: {error}")))?;
    let again = caught(|| copy.try_encode(), "try_encode")?;
    if again.as_ref() != Ok(encoded) {
        return Err(broken("the value does not come back as it was".into()));
    }
    Ok(())
}

/// The encoding of [`DEEP`] levels, if each level puts the same bytes around the one in it.
fn deep_bytes<V: Replicated>(nested: impl Fn(usize) -> V) -> Result<Option<Encoded>, Violation> {
    let encoded = |levels| caught(|| nested(levels).try_encode(), "try_encode");
    let (Ok(two), Ok(three), Ok(four)) = (encoded(2)?, encoded(3)?, encoded(4)?) else { return Ok(None) };
    let added = three.body.len().saturating_sub(two.body.len());
    let around = (0..=added).map(|front| (&three.body[..front], &three.body[three.body.len() - (added - front)..]));
    let wraps = |(front, behind): &(&[u8], &[u8])| {
        three.body == [front, two.body.as_slice(), behind].concat()
            && four.body == [front, three.body.as_slice(), behind].concat()
    };
    let deep = around.into_iter().find(wraps).filter(|_| added > 0).map(|(front, behind)| Encoded {
        body: [front.repeat(DEEP - 2), two.body.clone(), behind.repeat(DEEP - 2)].concat(),
        parts: two.parts.clone(),
    });
    Ok(deep)
}

/// Decodes on a thread whose name appears in the message of an overflow.
fn decode_on_a_thread<V: Replicated>(key: V::Key, bytes: Encoded) -> Result<(), Violation> {
    let decode = move || caught(|| drop(V::decode(&key, &bytes)), "decoding 100,000 levels");
    let thread = std::thread::Builder::new().name("nesting".into()).stack_size(2 << 20).spawn(decode);
    thread.expect("a thread starts").join().expect("a panic is caught in it")
}
