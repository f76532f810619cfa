//! Checking a replica against its own store.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::format::FormatError;
use super::open::check_record;
use super::{Error, Replica, Replicated};
use crate::{KeyHash, KeyRange};

/// The result of an audit, which compares the whole store with the replica's summary of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many records were read.
    pub records: u64,
    /// All differences, by key; empty if the store is sound.
    pub discrepancies: Vec<(KeyHash, Discrepancy)>,
}

/// How a record differs from what the replica has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discrepancy {
    /// The record does not decode, or this replica cannot have written it.
    Damaged(String),
    /// The record is as it was written, and the type of its value does not read it.
    TypeCannotRead(String),
    /// The record has another hash than the one that was written.
    Changed,
    /// The record was never written.
    Surplus,
    /// The record is gone.
    Lost,
}

impl<V: Replicated> Replica<V> {
    /// Reads the whole store, computes every hash again, and reports each difference. O(n); changes nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn audit(&mut self) -> Result<Audit, Error> {
        let summary = self.summary();
        let mut expected = summary.iter().peekable();
        let mut audit = Audit::default();
        let mut report = |hash, what| audit.discrepancies.push((hash, what));
        let mut records = 0;
        self.store.scan(KeyRange::ALL, &mut |hash, bytes| {
            records += 1;
            while let Some((lost, _)) = expected.next_if(|(next, _)| *next < hash) {
                report(lost, Discrepancy::Lost);
            }
            let wanted = expected.next_if(|(next, _)| *next == hash).map(|(_, fingerprint)| fingerprint);
            match (check_record::<V>(hash, bytes, &self.context), wanted) {
                (Err(FormatError::Type(reason)), _) => report(hash, Discrepancy::TypeCannotRead(reason.into())),
                (Err(error), _) => report(hash, Discrepancy::Damaged(error.to_string())),
                (Ok(_), None) => report(hash, Discrepancy::Surplus),
                (Ok(record), Some(wanted)) if record.fingerprint() != wanted => report(hash, Discrepancy::Changed),
                (Ok(_), Some(_)) => {}
            }
            ControlFlow::Continue(())
        })?;
        for (lost, _) in expected {
            report(lost, Discrepancy::Lost);
        }
        audit.records = records;
        Ok(audit)
    }
}
