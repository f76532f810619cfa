//! S10: the same seed gives the same run.

use super::Violation;

/// S10: two runs of the same scenario and seed have the same trace hash.
///
/// # Errors
/// If the hashes differ.
pub fn same_trace(a: u64, b: u64) -> Result<(), Violation> {
    if a == b {
        return Ok(());
    }
    let detail = format!("two runs of one seed have traces {a:016x} and {b:016x}");
    Err(Violation { invariant: "S10", at: 0, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_traces_are_fine_and_different_ones_found() {
        assert_eq!(same_trace(7, 7), Ok(()));
        assert!(same_trace(7, 8).is_err());
    }
}
