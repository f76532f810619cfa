//! What drops packets on their arrival, so that their sender does not learn of it.

use std::fmt::Write;
use std::net::IpAddr;

use super::NetworkError;
use super::tools::{is_there, run};

/// A tool that drops packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// `nft`.
    Nft,
    /// `iptables-restore`.
    Iptables,
}

impl Firewall {
    /// The tools that are there.
    pub fn all() -> impl Iterator<Item = Self> {
        [(Self::Nft, "nft"), (Self::Iptables, "iptables")]
            .into_iter()
            .filter(|(_, tool)| is_there(tool))
            .map(|(it, _)| it)
    }

    pub(super) fn find() -> Result<Self, NetworkError> {
        Self::all().next().ok_or_else(|| NetworkError::Missing("there is neither of the last two".to_owned()))
    }

    /// Lets a namespace hear nothing from these addresses, and everything from all others, from one packet to the next.
    pub(super) fn drop_from(self, space: &str, addresses: &[IpAddr]) -> Result<(), NetworkError> {
        let mut rules = String::new();
        let (head, tail, tool): (_, _, &[&str]) = match self {
            Self::Nft => {
                let chain = "add table inet cut\n\
                             add chain inet cut arrivals { type filter hook input priority 0; policy accept; }\n\
                             flush chain inet cut arrivals\n";
                (chain, "", &["nft", "-f", "-"])
            }
            Self::Iptables => ("*filter\n:INPUT ACCEPT [0:0]\n", "COMMIT\n", &["iptables-restore"]),
        };
        for address in addresses {
            let _ = match self {
                Self::Nft => writeln!(rules, "add rule inet cut arrivals ip saddr {address} drop"),
                Self::Iptables => writeln!(rules, "-A INPUT -s {address} -j DROP"),
            };
        }
        let arguments: Vec<&str> = ["netns", "exec", space].into_iter().chain(tool.iter().copied()).collect();
        run("ip", &arguments, &format!("{head}{rules}{tail}"))
    }
}
