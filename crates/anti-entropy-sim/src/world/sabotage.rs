//! Bugs outside the core that can be planted, so that every checker is seen to fail once.

/// A bug of whoever runs a replica: of its store, its driver, its operator, or of the simulator itself. The names say what
/// is broken; the bugs of the core are planted in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Sabotage {
    StorePromisesTooMuch,
    WipedStoreKeepsItsId,
    RestoredStoreIsVouchedFor,
    AnotherValueIsWritten,
    TimersNeverFire,
    DrawsFromTheMachine,
}
