use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::refusal_reasons::refusal_reasons;

/// How many refusals a transport remembers: enough to see what is going on, in little memory.
pub(crate) const MAX_REMEMBERED: usize = 32;

/// How much of what the TLS library reports is kept. Some of it is text that the other side chose.
const MAX_DETAIL_BYTES: usize = 256;

/// A connection that was refused, or closed because of what the other side did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionRefusal {
    /// Why it was refused.
    pub reason: ConnectionRefusalReason,
    /// The other side's address. Over QUIC it may be forged if the connection was refused early in the handshake.
    pub remote: SocketAddr,
    /// What else is known, for a person to read: the name that the other side gave, or what the TLS library reported.
    /// Empty if there is nothing.
    pub detail: String,
}

impl ConnectionRefusal {
    pub(crate) fn new(reason: ConnectionRefusalReason, remote: SocketAddr, mut detail: String) -> Self {
        if let Some((end, _)) = detail.char_indices().find(|(at, char)| at + char.len_utf8() > MAX_DETAIL_BYTES) {
            detail.truncate(end);
        }
        Self { reason, remote, detail }
    }
}

impl fmt::Display for ConnectionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.remote, self.reason)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

refusal_reasons! {
    /// Why a connection was refused, or closed because of what the other side did. Each reason has a counter in
    /// [`RefusedConnections`].
    enum ConnectionRefusalReason;

    /// How many connections were refused, or closed because of what the other side did, by reason. Over TLS,
    /// connections that this node opened count too.
    struct RefusedConnections;

    /// Too many connections were in their handshake.
    TooManyHandshakes too_many_handshakes "too many handshakes at once";
    /// Too many connections were open.
    TooManyConnections too_many_connections "too many connections";
    /// The handshake took too long.
    HandshakeTimeout handshake_timeout "the handshake took too long";
    /// The other side sent something else than a hello, or only a part of one.
    Malformed malformed "no hello";
    /// The other side speaks another version.
    Version version "another version";
    /// The other side is of a cluster of another name.
    OtherCluster other_cluster "another cluster";
    /// The other side is not one of the peers.
    UnknownPeer unknown_peer "not one of the peers";
    /// The other side wanted to reach a node of another name.
    WrongReceiver wrong_receiver "it looked for another node";
    /// A frame longer than the limit was announced.
    FrameTooLong frame_too_long "a frame longer than allowed";
    /// The other side opened a stream of an unknown kind.
    Stream stream "a stream of no known kind";
    /// The other side did not speak TLS, or broke its rules.
    NotTls not_tls "no TLS";
    /// The other side spoke TLS, but for another protocol.
    Protocol protocol "TLS for another protocol";
    /// The other side showed no certificate.
    NoCertificate no_certificate "no certificate";
    /// The certificate was not issued by an authority that is trusted.
    UnknownIssuer unknown_issuer "a certificate of an unknown issuer";
    /// The certificate is not in the list of fingerprints.
    Unlisted unlisted "a certificate that is not listed";
    /// The certificate has expired, or is not valid yet.
    OutsideValidity outside_validity "a certificate that is not valid now";
    /// The certificate does not prove the name that the other side gave, or that this node expected.
    WrongName wrong_name "a certificate of another name";
    /// Something else is wrong with the certificate, or with the proof that the other side owns it.
    BadCertificate bad_certificate "a bad certificate";
    /// The other side refused this node's certificate.
    RefusedByPeer refused_by_peer "it refused this node's certificate";
    /// The certificate of an open connection is no longer trusted.
    NoLongerTrusted no_longer_trusted "a certificate that is trusted no longer";
}

/// The last refusals, and how many were logged in the present second.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    last: VecDeque<ConnectionRefusal>,
    second: Option<Instant>,
    logged: u32,
}

impl RefusalLog {
    /// Remembers a refusal, and returns whether to log it.
    pub(crate) fn note(&mut self, refusal: ConnectionRefusal, now: Instant, max_logged: u32) -> bool {
        if self.last.len() == MAX_REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(refusal);
        if self.second.is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1)) {
            (self.second, self.logged) = (Some(now), 0);
        }
        let log = self.logged < max_logged;
        self.logged += u32::from(log);
        log
    }

    pub(crate) fn last(&self) -> Vec<ConnectionRefusal> {
        self.last.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_remembered_and_fewer_logged() {
        let mut refusals = RefusalLog::default();
        let start = Instant::now();
        let note = |refusals: &mut RefusalLog, port, now| {
            let remote = ([127, 0, 0, 1], port).into();
            let refusal = ConnectionRefusal::new(ConnectionRefusalReason::NotTls, remote, "\u{e9}".repeat(1_000));
            refusals.note(refusal, now, 3)
        };
        let logged: Vec<_> = (0..100).map(|port| note(&mut refusals, port, start)).collect();
        assert_eq!(logged.iter().filter(|logged| **logged).count(), 3);
        assert!(note(&mut refusals, 100, start + Duration::from_secs(1)), "another second, another three");
        let last = refusals.last();
        assert_eq!((last.len(), last[0].remote.port(), last[31].remote.port()), (MAX_REMEMBERED, 69, 100));
        assert_eq!(last[0].detail, "\u{e9}".repeat(MAX_DETAIL_BYTES / 2));
    }
}
