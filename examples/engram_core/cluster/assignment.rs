//! Assignments, each as it was made first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::MemorySpaceId;
use super::config::ReplicationConfig;
use super::error::ClusterError;
use super::placement::{SpaceAssignment, SpaceAssignmentPlanner};

/// Of its fields, the assignment.
#[derive(Debug, Clone)]
pub struct CachedAssignment {
    pub assignment: SpaceAssignment,
}

pub struct SpaceAssignmentManager {
    planner: Arc<SpaceAssignmentPlanner>,
    replication: ReplicationConfig,
    cache: Mutex<HashMap<MemorySpaceId, CachedAssignment>>,
}

impl SpaceAssignmentManager {
    pub fn new(planner: Arc<SpaceAssignmentPlanner>, replication: &ReplicationConfig) -> Self {
        Self { planner, replication: replication.clone(), cache: Mutex::default() }
    }

    pub fn assign(&self, space: &MemorySpaceId) -> Result<SpaceAssignment, ClusterError> {
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(space).cloned();
        cached.map_or_else(|| Ok(self.recompute(space)?.assignment), |cached| Ok(cached.assignment))
    }

    pub fn recompute(&self, space: &MemorySpaceId) -> Result<CachedAssignment, ClusterError> {
        let cached = CachedAssignment { assignment: self.planner.plan(space, self.replication.factor)? };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(space.clone(), cached.clone());
        Ok(cached)
    }
}
