use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::TransportLimits;

/// Limits how many inbound connections are in their handshake: in all, and from one address.
#[derive(Debug)]
pub(crate) struct HandshakeSlots {
    all: usize,
    of_one: usize,
    /// How many slots each address has taken. Addresses that have none are not in it, so it has no more entries than
    /// there are slots.
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A slot for one handshake, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct HandshakeSlot {
    places: Arc<HandshakeSlots>,
    address: IpAddr,
}

impl HandshakeSlots {
    pub(crate) fn new(limits: &TransportLimits) -> Arc<Self> {
        let (all, of_one) = (limits.max_handshakes, limits.max_handshakes_per_address);
        Arc::new(Self { all, of_one, taken: Mutex::default() })
    }

    /// Takes a slot, if there is one for this address. O(n) in the number of addresses.
    pub(crate) fn take(self: &Arc<Self>, remote: SocketAddr) -> Option<HandshakeSlot> {
        let address = counted_as(remote);
        let mut taken = self.lock();
        let (all, own) = count(&taken, address);
        if all >= self.all || own >= self.of_one {
            return None;
        }
        taken.insert(address, own + 1);
        drop(taken);
        Some(HandshakeSlot { places: Arc::clone(self), address })
    }

    /// Whether half of all slots are taken, or half of those for this address.
    #[cfg(feature = "quic")]
    pub(crate) fn are_scarce(&self, remote: SocketAddr) -> bool {
        let (all, own) = count(&self.lock(), counted_as(remote));
        let scarce = |taken, max: usize| max.saturating_sub(taken) <= max / 2;
        scarce(all, self.all) || scarce(own, self.of_one)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

fn count(taken: &BTreeMap<IpAddr, usize>, address: IpAddr) -> (usize, usize) {
    (taken.values().sum(), taken.get(&address).copied().unwrap_or(0))
}

/// A host with one IPv6 address can usually take any with the same first 64 bits, so they count as one.
fn counted_as(remote: SocketAddr) -> IpAddr {
    match remote.ip().to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, of_one: usize) -> Arc<HandshakeSlots> {
        HandshakeSlots::new(&TransportLimits {
            max_handshakes: all,
            max_handshakes_per_address: of_one,
            ..TransportLimits::default()
        })
    }

    fn remote(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Takes a slot where there must be one.
    fn take(places: &Arc<HandshakeSlots>, remote: SocketAddr) -> HandshakeSlot {
        places.take(remote).unwrap()
    }

    #[test]
    fn one_address_leaves_places_to_the_others_and_gets_its_own_back() {
        let places = places(3, 2);
        let first = take(&places, remote("192.0.2.1:1"));
        let _second = take(&places, remote("192.0.2.1:2"));
        assert!(places.take(remote("192.0.2.1:3")).is_none(), "the address has its two");
        let other = take(&places, remote("192.0.2.2:1"));
        assert!(places.take(remote("192.0.2.3:1")).is_none(), "there are three in all");
        drop(first);
        drop(other);
        assert!(places.take(remote("192.0.2.1:4")).is_some());
        assert_eq!(places.lock().len(), 1, "addresses without a place are forgotten");
    }

    #[test]
    fn addresses_that_one_host_has_count_as_one() {
        let places = places(9, 1);
        let _held = ["192.0.2.1:1", "[2001:db8::1]:1"].map(|text| take(&places, remote(text)));
        assert!(places.take(remote("[::ffff:192.0.2.1]:1")).is_none());
        assert!(places.take(remote("[2001:db8::ffff:1]:1")).is_none());
        assert!(places.take(remote("[2001:db8:0:1::1]:1")).is_some());
    }

    #[cfg(feature = "quic")]
    #[test]
    fn places_are_scarce_when_half_are_taken() {
        let places = places(6, 2);
        let (a, b) = (remote("192.0.2.1:1"), remote("192.0.2.2:1"));
        assert!(!places.are_scarce(a));
        let _first = take(&places, a);
        assert!(places.are_scarce(a) && !places.are_scarce(b));
        let _more = [take(&places, a), take(&places, b)];
        assert!(places.are_scarce(remote("192.0.2.3:1")));
    }
}
