//! Nodes whose settings of a space differ.

use std::num::NonZeroUsize;

use anti_entropy::session::Refusal;
use anti_entropy::{Event, GossipConfig};
use anti_entropy_engram::gossiper::Announced;
use anti_entropy_engram::{Encoding, Resolution, Space};

use crate::cluster::{Cluster, MINUTE, held, name, pattern, snapshot, space, versions};

/// Every way in which a space can differ from that of [`space`].
fn others() -> Vec<Space> {
    let mut thresholds = space();
    thresholds.thresholds.merge_cosine = 0.9;
    vec![
        Space { id: "another".to_string(), ..space() },
        Space { encoding: Encoding::F16, ..space() },
        Space { resolution: Resolution::KeepAll, ..space() },
        Space { dimension: NonZeroUsize::new(3).unwrap(), ..space() },
        thresholds,
    ]
}

#[test]
fn nothing_moves_between_nodes_whose_settings_differ() {
    for (other, push) in others().into_iter().flat_map(|other| [(other.clone(), true), (other, false)]) {
        let mut cluster =
            Cluster::of_spaces(&[space(), other.clone()], GossipConfig::lan().with(|config| config.push = push));
        let mut theirs = pattern("b", 20);
        theirs.embedding.truncate(other.dimension.get());
        // Before they have ever talked, and after.
        for _ in 0..2 {
            cluster.rebuild(0, &snapshot([pattern("a", 10)]));
            cluster.rebuild(1, &snapshot([theirs.clone()]));
            cluster.run(MINUTE, |_| false);
            assert_eq!(held(&cluster.nodes[0]), versions(&[("a", 0, 10)]), "{other:?}, push: {push}");
            assert_eq!(held(&cluster.nodes[1]), versions(&[("b", 1, 20)]), "{other:?}, push: {push}");
        }
        for node in 0..2 {
            let refused = Event::Refused { peer: name(1 - node), reason: Refusal::SchemaId };
            assert!(cluster.events.contains(&(node, refused)), "{:?}", cluster.events);
        }
        let announcement = cluster.nodes[1].root_announcement().to_bytes();
        let now = cluster.now;
        let announced = cluster.nodes[0].handle_root_announcement(&name(1), &announcement, now);
        let expected = if other.id == space().id { Announced::OtherSettings } else { Announced::OtherSpace };
        assert_eq!(announced, expected);
    }
}
