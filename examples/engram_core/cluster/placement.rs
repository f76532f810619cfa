//! Which nodes a space is placed on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::super::MemorySpaceId;
use super::config::ReplicationConfig;
use super::error::ClusterError;
use super::membership::{NodeInfo, SwimMembership};

#[derive(Debug, Clone)]
pub struct SpaceAssignment {
    pub primary: NodeInfo,
    pub replicas: Vec<NodeInfo>,
}

/// Plans by the nodes that are alive; without racks and zones, which weigh there.
pub struct SpaceAssignmentPlanner {
    membership: Arc<SwimMembership>,
}

impl SpaceAssignmentPlanner {
    pub fn new(membership: Arc<SwimMembership>, _config: &ReplicationConfig) -> Self {
        Self { membership }
    }

    #[expect(clippy::cast_possible_truncation, reason = "of a hash")]
    pub fn plan(&self, space: &MemorySpaceId, replica_count: usize) -> Result<SpaceAssignment, ClusterError> {
        let mut nodes = self.membership.alive_nodes();
        let (required, available) = (replica_count + 1, nodes.len());
        if available < required {
            return Err(ClusterError::InsufficientHealthyNodes { required, available });
        }
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        let mut hasher = DefaultHasher::new();
        space.hash(&mut hasher);
        nodes.rotate_left(hasher.finish() as usize % available);
        nodes.truncate(required);
        let replicas = nodes.split_off(1);
        Ok(SpaceAssignment { primary: nodes.remove(0), replicas })
    }
}
