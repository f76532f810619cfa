mod golden;
#[cfg(feature = "tracing")]
pub(super) mod log;
