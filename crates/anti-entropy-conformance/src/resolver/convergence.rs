use core::fmt::Display;
use core::time::Duration;
use std::format;
use std::vec::Vec;

use super::law;
use crate::{Violation, exchange};
use anti_entropy::clock::{Now, Seed};
use anti_entropy::session::Outcome;
use anti_entropy::value::Encoded;
use anti_entropy::{MemoryStore, Replica, Replicated, Resolver};

/// How often three values of a key are written concurrently.
const ROUNDS: u8 = 8;

/// Three replicas write values of one key without knowing of each other, and exchange them by sessions.
pub(super) fn check_convergence<V, R>(make: &mut impl FnMut() -> R, values: &[&V]) -> Result<(), Violation>
where
    V: Replicated,
    R: Resolver<V> + 'static,
{
    let mut random = fastrand::Rng::with_seed(19);
    for round in 0..ROUNDS {
        let (mut a, mut b, mut c) =
            (open(make(), 3 * round)?, open(make(), 3 * round + 1)?, open(make(), 3 * round + 2)?);
        for replica in [&mut a, &mut b, &mut c] {
            let value = values[random.usize(0..values.len())].clone();
            replica.write(value, at(random.u64(0..3))).map_err(failed)?;
        }
        let key = values[0].key();
        meet(&mut a, &mut b)?;
        check_reads(&[&a, &b], &key)?;
        meet(&mut c, &mut b)?;
        check_reads(&[&b, &c], &key)?;
        meet(&mut a, &mut c)?;
        check_reads(&[&a, &b, &c], &key)?;
    }
    Ok(())
}

fn open<V: Replicated>(resolver: impl Resolver<V> + 'static, seed: u8) -> Result<Replica<V>, Violation> {
    Replica::open(MemoryStore::new(), resolver, Seed::from_bytes([seed; 32])).map_err(failed)
}

fn meet<V: Replicated>(one: &mut Replica<V>, other: &mut Replica<V>) -> Result<(), Violation> {
    match exchange(one, other, at(5)).map_err(failed)? {
        Outcome::Converged => Ok(()),
        outcome => Err(failed(format!("a session ended as {outcome:?}"))),
    }
}

fn check_reads<V: Replicated>(replicas: &[&Replica<V>], key: &V::Key) -> Result<(), Violation> {
    let mut reads: Vec<Option<Encoded>> = Vec::new();
    for replica in replicas {
        reads.push(replica.read(key).map_err(failed)?.value().map(Replicated::encode));
    }
    if reads.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(Violation::new(
        law::CONVERGENCE,
        format!("{} replicas hold the same at {key:?} and read differently", reads.len()),
    ))
}

fn at(ms: u64) -> Now {
    Now { elapsed: Duration::from_millis(ms), unix_ms: 1_700_000_000_000 + ms }
}

fn failed(error: impl Display) -> Violation {
    Violation::new(law::CONVERGENCE, format!("replicas with these values do not converge: {error}"))
}
