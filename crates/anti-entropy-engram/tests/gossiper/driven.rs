//! Gossipers on threads of their own, with real clocks.

use std::time::Duration;

use anti_entropy::engine::drive;
use anti_entropy::{Clock, Continuity, DriverConfig, GossipConfig, Handle, MemoryNetwork, Opening, SystemClock};
use anti_entropy_engram::Pattern;
use anti_entropy_engram::gossiper::{AnnouncementOutcome, ConsolidationGossiper};
use futures::executor::block_on;

use crate::cluster::{Disk, counts, name, open, pattern, seed, snapshot, space};

type Driven = Handle<Pattern, ConsolidationGossiper>;

fn launch(network: &MemoryNetwork, index: usize, disk: &Disk, opening: impl Into<Opening>) -> Driven {
    let clock = SystemClock::new();
    let gossiper = open(index, 2, space(), disk.clone(), opening, GossipConfig::test(), clock.now());
    let (handle, driver) = drive(gossiper, network.join(name(index)), clock, DriverConfig::default()).unwrap();
    std::thread::spawn(|| block_on(driver));
    handle
}

#[test]
fn a_gossiper_is_driven_like_an_engine() {
    let (network, disks) = (MemoryNetwork::new(1), [Disk::default(), Disk::default()]);
    let nodes = [0, 1].map(|index| launch(&network, index, &disks[index], seed(1 + u8::try_from(index).unwrap())));
    let both = snapshot([pattern("a", 10), pattern("b", 10)]);
    block_on(async {
        let given = both.clone();
        let rebuild = nodes[0].with(move |gossiper, now| gossiper.rebuild_from_snapshot(&given, now));
        assert_eq!(counts(&rebuild.await.unwrap().unwrap()), [2, 0, 0, 0, 0]);
        nodes[1].wait_converged([name(0)]).await.unwrap();
        let announcement = nodes[0].with(|gossiper, _| gossiper.root_announcement().to_bytes()).await.unwrap();
        let announced =
            nodes[1].with(move |gossiper, now| gossiper.handle_root_announcement(&name(0), &announcement, now));
        assert_eq!(announced.await.unwrap(), AnnouncementOutcome::Equal);
        let statuses = nodes.each_ref().map(|node| node.with(ConsolidationGossiper::status));
        let [one, other] = statuses;
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!((&one.root, one.patterns, one.generation), (&other.root, 2, 1));
        assert_eq!(other.generation, 0);

        // Closed in order, and opened again.
        let marker = nodes[0].shutdown(Duration::from_secs(20)).await.unwrap();
        let opening = Opening::from(seed(9)).with(|config| config.continuity = Continuity::Marker(marker));
        let again = launch(&network, 0, &disks[0], opening);
        let rebuild = again.with(move |gossiper, now| gossiper.rebuild_from_snapshot(&both, now));
        assert_eq!(counts(&rebuild.await.unwrap().unwrap()), [0, 2, 0, 0, 0]);
    });
}
