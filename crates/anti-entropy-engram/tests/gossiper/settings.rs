//! Settings that are refused, and nodes whose settings of a space differ.

use std::num::NonZeroUsize;

use anti_entropy::Refusal;
use anti_entropy::{Event, GossipConfig, MemoryStore};
use anti_entropy_engram::gossiper::{AnnouncementOutcome, ConsolidationGossiper, GossiperConfig};
use anti_entropy_engram::{Encoding, MemorySpace, OpenError, Resolution};

use crate::cluster::{Cluster, MINUTE, held, name, pattern, seed, snapshot, space, start, versions};

/// Every way in which a space can differ from that of [`space`].
fn others() -> Vec<MemorySpace> {
    vec![
        space().with(|space| space.id = "another".to_string()),
        space().with(|space| space.encoding = Encoding::F16),
        space().with(|space| space.resolution = Resolution::KeepAll),
        space().with(|space| space.dimension = NonZeroUsize::new(3).unwrap()),
        space().with(|space| space.thresholds.merge_cosine = 0.9),
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
        let expected =
            if other.id == space().id { AnnouncementOutcome::OtherSettings } else { AnnouncementOutcome::OtherSpace };
        assert_eq!(announced, expected);
    }
}

/// The setting that keeps a gossiper from being opened.
fn refused(space: MemorySpace, config: GossiperConfig) -> String {
    let opened = ConsolidationGossiper::open(space, name(0), MemoryStore::new(), seed(0), config, start());
    match opened {
        Err(OpenError::Config(error)) => error.field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let spaces = [
        (space().with(|space| space.id.clear()), "space.id"),
        (space().with(|space| space.thresholds.merge_overlap = -0.1), "space.thresholds.merge_overlap"),
        (space().with(|space| space.thresholds.link_cosine = f64::NAN), "space.thresholds.link_cosine"),
    ];
    for (space, field) in spaces {
        assert_eq!(refused(space, GossiperConfig::default()), field);
    }
    let elsewhere = space().with(|space| space.encoding = Encoding::I8).schema_id();
    let config = GossiperConfig::default().with(|config| config.gossip.session.schema_id = elsewhere);
    assert_eq!(refused(space(), config), "gossip.session.schema_id");
    let config = GossiperConfig::default().with(|config| config.gossip.session.schema_id = space().schema_id());
    let opened = ConsolidationGossiper::open(space(), name(0), MemoryStore::new(), seed(0), config, start());
    assert!(opened.is_ok());
    let nameless = ConsolidationGossiper::open(space(), "", MemoryStore::new(), seed(0), GossipConfig::lan(), start());
    assert!(matches!(nameless, Err(OpenError::NoName)));
}
