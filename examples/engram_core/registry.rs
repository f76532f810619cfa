//! `engram_core::registry`: the spaces of a node.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{MemorySpaceId, MemoryStore};

#[derive(Debug, thiserror::Error)]
pub enum MemorySpaceError {
    #[error("the space {id} is not known")]
    NotFound { id: MemorySpaceId },
    #[error("the store of the space {id} cannot be made")]
    StoreInit { id: MemorySpaceId, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the directory {} cannot be made", path.display())]
    DataRootUnavailable { path: PathBuf, source: std::io::Error },
}

/// Of its fields, the one that is the others' parent.
#[derive(Clone, Debug)]
pub struct SpaceDirectories {
    pub root: PathBuf,
}

pub struct SpaceHandle {
    id: MemorySpaceId,
    store: Arc<MemoryStore>,
}

impl SpaceHandle {
    pub const fn id(&self) -> &MemorySpaceId {
        &self.id
    }

    pub fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store)
    }
}

type StoreFactory =
    dyn Fn(&MemorySpaceId, &SpaceDirectories) -> Result<Arc<MemoryStore>, MemorySpaceError> + Send + Sync;

pub struct MemorySpaceRegistry {
    handles: Mutex<HashMap<MemorySpaceId, Arc<SpaceHandle>>>,
    factory: Box<StoreFactory>,
    persistence_root: PathBuf,
}

impl MemorySpaceRegistry {
    pub fn new<P, F>(persistence_root: P, store_factory: F) -> Result<Self, MemorySpaceError>
    where
        P: Into<PathBuf>,
        F: Fn(&MemorySpaceId, &SpaceDirectories) -> Result<Arc<MemoryStore>, MemorySpaceError> + Send + Sync + 'static,
    {
        let path = persistence_root.into();
        std::fs::create_dir_all(&path)
            .map_err(|source| MemorySpaceError::DataRootUnavailable { path: path.clone(), source })?;
        Ok(Self { handles: Mutex::default(), factory: Box::new(store_factory), persistence_root: path })
    }

    pub async fn create_or_get(&self, space_id: &MemorySpaceId) -> Result<Arc<SpaceHandle>, MemorySpaceError> {
        let mut handles = self.handles.lock().await;
        if let Some(handle) = handles.get(space_id) {
            return Ok(Arc::clone(handle));
        }
        let directories = SpaceDirectories { root: self.persistence_root.join(space_id.as_str()) };
        let store = (self.factory)(space_id, &directories)?;
        let handle = Arc::new(SpaceHandle { id: space_id.clone(), store });
        handles.insert(space_id.clone(), Arc::clone(&handle));
        Ok(handle)
    }
}
