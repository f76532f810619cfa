use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Counters of a [`Membership`](super::Membership) since it joined. Bytes are those of UDP payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SwimStats {
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes of these.
    pub bytes_sent: u64,
    /// Datagrams that the operating system refused to send; they count as lost.
    pub send_errors: u64,
    /// Datagrams received, with those that were refused.
    pub datagrams_received: u64,
    /// Bytes of these.
    pub bytes_received: u64,
    /// Failures to receive, as the operating system reports them.
    pub receive_errors: u64,
    /// Hellos sent.
    pub hellos_sent: u64,
    /// Sessions begun with a life of a peer.
    pub sessions: u64,
    /// How often this node came back after it was declared down.
    pub rejoins: u64,
    /// Datagrams that were refused, by cause.
    pub refused: RefusedDatagrams,
    /// The datagram that was refused last.
    pub last_refusal: Option<Refusal>,
}

/// A datagram that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Where it came from, or said it did.
    pub from: SocketAddr,
    /// Why it was refused.
    pub reason: RefusalReason,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $field:ident $text:literal;)*) => {
        /// Why a datagram was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum RefusalReason {
            $($(#[$doc])* $variant,)*
        }

        impl RefusalReason {
            /// The reason in words.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        /// Datagrams that were refused, by cause.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct RefusedDatagrams {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl RefusedDatagrams {
            /// How many were refused for this reason.
            pub const fn count(&self, reason: RefusalReason) -> u64 {
                match reason {
                    $(RefusalReason::$variant => self.$field,)*
                }
            }

            /// All counters with the names of their causes, always in the same order.
            #[cfg(feature = "metrics")]
            pub(super) fn by_cause(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)*]
            }

            fn add(&mut self, reason: RefusalReason) {
                match reason {
                    $(RefusalReason::$variant => self.$field += 1,)*
                }
            }
        }
    };
}

reasons! {
    /// Shorter or longer than any datagram of this protocol.
    Length length "it is shorter or longer than a membership datagram";
    /// Of another version of the protocol, or of another protocol.
    OtherVersion other_version "it is of another version, or of another protocol";
    /// Of no known kind.
    UnknownKind unknown_kind "its kind is not known";
    /// Sealed with another cluster key, or for another node or another life of this one, or changed on its way.
    NotOpened not_opened "it was sealed with another cluster key or for another life of a node, or damaged";
    /// Received before.
    Replayed replayed "it was received before";
    /// So old that it cannot be told whether it was received before.
    TooOld too_old "it is too old to tell whether it was received before";
    /// From a life of a peer that has not introduced itself.
    NoSession no_session "its sender has not introduced itself";
    /// An answer to nothing that was asked lately.
    Unasked unasked "it answers nothing that was asked lately";
    /// Sent by this node itself.
    OwnEcho own_echo "this node sent it itself";
    /// Sealed well, but its contents make no sense.
    Malformed malformed "its contents make no sense";
    /// Asked for an answer at a time when too many had been given.
    TooMany too_many "too many ask for an answer";
    /// There is no room for another session or member.
    NoRoom no_room "there is no room for another member";
}

/// The counters, shared with whoever looks.
#[derive(Debug, Default)]
pub(super) struct Stats(Mutex<SwimStats>);

impl Stats {
    pub(super) fn count(&self, change: impl FnOnce(&mut SwimStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.count(|stats| {
            stats.refused.add(refusal.reason);
            stats.last_refusal = Some(refusal);
        });
    }

    pub(super) fn snapshot(&self) -> SwimStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
