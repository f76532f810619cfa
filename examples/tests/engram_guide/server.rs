//! What engram-cli does, in its `main.rs` and in this order. docs/engram.md shows these lines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use engram_core::cluster::consolidated::node::ConsolidationNode;
use engram_core::cluster::consolidated::settings::ClusterSections;
use engram_core::cluster::consolidated::space::BoxError;
use engram_core::cluster::{SpaceAssignmentManager, SwimHandle, SwimMembership, SwimRuntime};
use engram_core::{MemorySpaceError, MemorySpaceId, MemorySpaceRegistry, MemoryStore, SpaceDirectories};
use serde::{Deserialize, Serialize};

/// Of its fields, the one that is new.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CliConfig {
    #[serde(flatten)]
    pub(crate) consolidated: ClusterSections,
}

/// Switches that are not read here.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeatureFlags {}

/// Of its fields, those that are read here.
pub(crate) struct DistributedContext {
    pub(crate) node_id: String,
    pub(crate) membership: Arc<SwimMembership>,
    pub(crate) assignments: Arc<SpaceAssignmentManager>,
    pub(crate) swim_addr: SocketAddr,
}

/// What `start_server` holds while it serves.
pub(crate) struct Server {
    pub(crate) registry: Arc<MemorySpaceRegistry>,
    pub(crate) consolidation: Option<Arc<ConsolidationNode>>,
    swim_handle: Option<SwimHandle>,
}

/// The first half of `start_server`.
pub(crate) async fn start_server(
    distributed: Option<DistributedContext>,
    data_root: PathBuf,
    cli_config: &CliConfig,
) -> Result<Server, BoxError> {
    let consolidation = match &distributed {
        Some(ctx) => ConsolidationNode::start(&cli_config.consolidated, &ctx.node_id, &data_root).await?,
        None => None,
    };

    let registry_flags = FeatureFlags::default();
    let attaching = consolidation.clone();
    let registry = Arc::new(MemorySpaceRegistry::new(&data_root, move |space_id, directories| {
        build_memory_space_store(space_id, directories, &registry_flags, attaching.as_deref())
    })?);

    registry.create_or_get(&MemorySpaceId::default()).await?;

    let mut swim_handle = None;
    if let Some(ctx) = &distributed {
        let trailers = consolidation.as_ref().map(|node| node.trailers());
        let handle = SwimRuntime::spawn(Arc::clone(&ctx.membership), ctx.swim_addr, None, trailers).await?;
        if let Some(node) = &consolidation {
            node.follow(Arc::clone(&ctx.assignments));
        }
        swim_handle = Some(handle);
    }
    Ok(Server { registry, consolidation, swim_handle })
}

/// The second half, after the HTTP server has ended.
pub(crate) async fn stop_server(server: Server) {
    let Server { registry, consolidation, swim_handle } = server;
    if let Some(handle) = swim_handle {
        handle.request_shutdown();
        handle.wait().await;
    }
    if let Some(node) = &consolidation {
        node.shut_down().await;
    }
    drop(registry);
}

fn build_memory_space_store(
    space_id: &MemorySpaceId,
    _directories: &SpaceDirectories,
    _feature_flags: &FeatureFlags,
    consolidation: Option<&ConsolidationNode>,
) -> Result<Arc<MemoryStore>, MemorySpaceError> {
    let store = MemoryStore::for_space(space_id.clone(), 100_000);

    if let Some(node) = consolidation {
        return node.attach(space_id, store);
    }
    Ok(Arc::new(store))
}
