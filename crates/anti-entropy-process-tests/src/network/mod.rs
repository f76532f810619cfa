//! A network of its own: a namespace for each node, and one with a bridge between them.
//!
//! Nothing else of the machine's network is touched. Links are real, so what is cut stays silent: who sends is not told.

mod error;
mod firewall;
mod tools;

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::Command;

use anti_entropy_sim::history::NodeIndex;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub use self::error::NetworkError;
pub use self::firewall::Firewall;
use self::tools::ip;

/// Who cannot be heard by whom: the sender, and the receiver.
pub type Cuts = BTreeSet<(NodeIndex, NodeIndex)>;

/// Namespaces with a link between any two of them; gone when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    nodes: NodeIndex,
    firewall: Firewall,
    cuts: Cuts,
}

impl Network {
    /// A whole network of so many nodes.
    ///
    /// # Errors
    /// What is needed for it is missing, or the system refuses.
    pub fn new(nodes: NodeIndex) -> Result<Self, NetworkError> {
        Self::with_firewall(nodes, Firewall::find()?)
    }

    /// The same with links that are cut by this.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_firewall(nodes: NodeIndex, firewall: Firewall) -> Result<Self, NetworkError> {
        tools::check()?;
        let name = format!("ae-{:08x}", fastrand::u32(..));
        // From here on what was made is taken away again, however this ends.
        let network = Self { name, nodes, firewall, cuts: Cuts::new() };
        let middle = network.middle();
        ip(&["netns", "add", &middle])?;
        ip(&["-n", &middle, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &middle, "link", "set", "dev", "bridge", "up"])?;
        for node in 0..nodes {
            network.join(node, &middle)?;
        }
        Ok(network)
    }

    fn join(&self, node: NodeIndex, middle: &str) -> Result<(), NetworkError> {
        let (space, port) = (self.space(node), format!("port{node}"));
        let address = format!("{}/24", self.address(node));
        ip(&["netns", "add", &space])?;
        ip(&["-n", middle, "link", "add", &port, "type", "veth", "peer", "name", "wire", "netns", &space])?;
        ip(&["-n", middle, "link", "set", "dev", &port, "master", "bridge", "up"])?;
        ip(&["-n", &space, "address", "add", &address, "dev", "wire"])?;
        ip(&["-n", &space, "link", "set", "dev", "wire", "up"])?;
        ip(&["-n", &space, "link", "set", "dev", "lo", "up"])
    }

    fn middle(&self) -> String {
        format!("{}-middle", self.name)
    }

    fn space(&self, node: NodeIndex) -> String {
        format!("{}-{node}", self.name)
    }

    /// The names of all its namespaces.
    pub fn spaces(&self) -> Vec<String> {
        (0..self.nodes).map(|node| self.space(node)).chain([self.middle()]).collect()
    }

    /// The address of a node.
    pub fn address(&self, node: NodeIndex) -> IpAddr {
        let last = u8::try_from(node + 1).expect("a network has a few nodes");
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
    }

    /// A command that runs this program in the namespace of a node.
    pub fn command(&self, node: NodeIndex, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(node), program]);
        command
    }

    /// Cuts exactly these ways; all others are whole.
    ///
    /// # Errors
    /// If the firewall refuses; some of the ways may be cut then.
    pub fn cut(&mut self, cuts: &Cuts) -> Result<(), NetworkError> {
        for node in 0..self.nodes {
            let unheard = |cuts: &Cuts| -> Vec<NodeIndex> {
                cuts.iter().filter(|(_, to)| *to == node).map(|(from, _)| *from).collect()
            };
            let now = unheard(cuts);
            if now != unheard(&self.cuts) {
                let addresses: Vec<IpAddr> = now.iter().map(|from| self.address(*from)).collect();
                self.firewall.drop_from(&self.space(node), &addresses)?;
            }
        }
        self.cuts.clone_from(cuts);
        Ok(())
    }

    /// Takes a node's link down or up, as a cable that is pulled out.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_link(&self, node: NodeIndex, up: bool) -> Result<(), NetworkError> {
        ip(&["-n", &self.space(node), "link", "set", "dev", "wire", if up { "up" } else { "down" }])
    }

    /// Makes all ways and links whole.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn heal(&mut self) -> Result<(), NetworkError> {
        for node in 0..self.nodes {
            self.set_link(node, true)?;
        }
        self.cut(&Cuts::new())
    }

    /// Runs `body` on a thread in the namespace of a node: sockets that it opens are there.
    ///
    /// # Panics
    /// If the namespace cannot be entered, or `body` panics.
    pub fn within<T: Send>(&self, node: NodeIndex, body: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.space(node));
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let space = File::open(&path).expect("the namespace is there as long as its network");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(space.as_fd(), kind).expect("root may enter it");
                body()
            });
            inside.join().expect("the body ends well")
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for space in self.spaces() {
            // Those that were never made are not there, and the links go with the others.
            let _ = ip(&["netns", "delete", &space]);
        }
    }
}
