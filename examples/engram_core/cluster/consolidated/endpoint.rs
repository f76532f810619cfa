//! What an operator is shown.

use anti_entropy::HandleError;
use anti_entropy_engram::gossiper::ConsolidationGossiper;

use super::node::ConsolidationNode;
use crate::MemorySpaceId;

/// The body of `GET /cluster/consolidation?space=...`, as JSON; `None` if the node does not have the space.
pub async fn cluster_consolidation(
    node: &ConsolidationNode,
    id: &MemorySpaceId,
) -> Result<Option<String>, HandleError> {
    let Some(space) = node.space(id) else { return Ok(None) };
    let status = space.gossiper.with(ConsolidationGossiper::status).await?;
    Ok(Some(serde_json::to_string(&status).expect("plain data serialises")))
}
