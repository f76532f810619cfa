/// Describes each metric of this crate and of the driver to the recorder that is installed now: its unit, and what it
/// counts. Drivers, transports and memberships do this themselves when they start, so it is only needed for a recorder
/// that is installed later.
pub fn describe_metrics() {
    anti_entropy::describe_metrics();
    crate::metrics::describe_transport_metrics();
    #[cfg(feature = "swim")]
    crate::swim::describe_metrics();
}
