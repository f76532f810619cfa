use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anti_entropy::PeerId;

use super::boot_id::BootId;
use super::event::Member;
use super::link::Link;
use super::reader::Reader;
use crate::address::why_unreachable;
use crate::handshake::MAX_NAME_BYTES;

/// The longest name of a zone.
pub(super) const MAX_ZONE_BYTES: usize = 32;

/// What SWIM calls a member: one generation of one process of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: PeerId,
    /// Decides which of several processes of a name is the newest. A process takes a higher generation than any before
    /// it, and a higher one again after it was declared down by mistake.
    pub(super) generation: u32,
    pub(super) boot: BootId,
    /// The address to which datagrams are sent.
    pub(super) address: SocketAddr,
    /// The address to which the data transport connects.
    pub(super) transport: SocketAddr,
    pub(super) zone: Option<Arc<str>>,
}

impl Identity {
    pub(super) fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            address: self.address,
            transport: self.transport,
            zone: self.zone.as_deref().map(str::to_owned),
            generation: self.generation,
        }
    }

    /// Encodes the identity. Its lengths were checked when it was configured or decoded.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        encode_text(self.name.as_str(), bytes);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.boot.0);
        encode_address(self.address, bytes);
        encode_address(self.transport, bytes);
        encode_text(self.zone.as_deref().unwrap_or_default(), bytes);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let name = PeerId::from(decode_text(reader, MAX_NAME_BYTES)?);
        let generation = reader.u32()?;
        let boot = BootId(reader.array()?);
        let (address, transport) = (decode_address(reader)?, decode_address(reader)?);
        let zone = decode_text(reader, MAX_ZONE_BYTES)?;
        let zone = (!zone.is_empty()).then(|| zone.into());
        let well = !name.as_str().is_empty() && generation != 0 && boot != BootId::UNKNOWN;
        well.then_some(Self { name, generation, boot, address, transport, zone })
    }
}

impl foca::Identity for Identity {
    type Addr = PeerId;

    /// Foca must not renew it at once: `Node` decides when to come back.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> PeerId {
        self.name.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.generation, self.boot) > (adversary.generation, adversary.boot)
    }
}

fn encode_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.push(u8::try_from(text.len()).expect("names are at most 255 bytes"));
    bytes.extend_from_slice(text.as_bytes());
}

fn decode_text<'a>(reader: &mut Reader<'a>, max_bytes: usize) -> Option<&'a str> {
    let length = usize::from(reader.u8()?);
    if length > max_bytes {
        return None;
    }
    std::str::from_utf8(reader.take(length)?).ok()
}

/// Encodes an address without its scope, which means nothing on another host.
fn encode_address(address: SocketAddr, bytes: &mut Vec<u8>) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(6);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    bytes.extend_from_slice(&address.port().to_be_bytes());
}

fn decode_address(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip = match reader.u8()? {
        4 => IpAddr::from(reader.array::<4>()?),
        6 => IpAddr::from(reader.array::<16>()?),
        _ => return None,
    };
    let address = SocketAddr::new(ip.to_canonical(), reader.u16()?);
    // A node that nobody can reach would be suspected again and again.
    why_unreachable(Link::any().scoped(address)).is_none().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_address(text.parse().unwrap(), &mut bytes);
        bytes
    }

    #[test]
    fn an_address_has_one_encoding_and_no_scope() {
        let v4 = [4, 192, 0, 2, 1, 0x1f, 0x0a];
        assert_eq!(encoded("192.0.2.1:7946"), v4);
        assert_eq!(encoded("[::ffff:192.0.2.1]:7946"), v4);
        let link_local = encoded("[fe80::1%7]:7946");
        assert_eq!(link_local, encoded("[fe80::1]:7946"));
        assert_eq!(decode_address(&mut Reader(&link_local)), Some("[fe80::1]:7946".parse().unwrap()));
    }

    #[test]
    fn an_address_of_no_node_is_malformed() {
        for text in ["0.0.0.0:7946", "[::]:7946", "192.0.2.1:0", "224.0.0.1:7946", "[ff02::1]:7946"] {
            assert_eq!(decode_address(&mut Reader(&encoded(text))), None, "{text}");
        }
        // A node of another release may send the longer form.
        let mapped = [&[6][..], &[0; 10], &[0xff, 0xff, 192, 0, 2, 1, 0x1f, 0x0a]].concat();
        assert_eq!(decode_address(&mut Reader(&mapped)), Some("192.0.2.1:7946".parse().unwrap()));
    }
}
