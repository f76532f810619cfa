use anti_entropy::HandleError;
use anti_entropy_engram::gossiper::ConsolidationGossiper;

use super::replica::SpaceReplica;

/// The body of `GET /cluster/consolidation?space=...`; the content type is `application/json`.
pub(crate) async fn cluster_consolidation(space: &SpaceReplica) -> Result<String, HandleError> {
    let status = space.gossiper.with(ConsolidationGossiper::status).await?;
    Ok(serde_json::to_string(&status).expect("plain data serialises"))
}
