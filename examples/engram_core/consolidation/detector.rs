//! Clusters of episodes, and the pattern of each.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};

use super::super::{EMBEDDING_DIM, Episode};

/// What the detector makes of a cluster: of its fields, those that a semantic pattern is made of.
#[derive(Clone, Debug)]
pub struct EpisodicPattern {
    pub id: String,
    pub embedding: [f32; EMBEDDING_DIM],
    pub source_episodes: Vec<String>,
    pub strength: f32,
    pub last_occurrence: DateTime<Utc>,
    pub occurrence_count: usize,
}

/// Finds clusters of episodes that resemble each other.
#[derive(Debug)]
pub struct PatternDetector {
    min_cluster_size: usize,
    similarity_threshold: f32,
}

impl Default for PatternDetector {
    /// As engram's consolidation configures it.
    fn default() -> Self {
        Self { min_cluster_size: 3, similarity_threshold: 0.8 }
    }
}

impl PatternDetector {
    pub fn detect_patterns(&self, episodes: &[Episode]) -> Vec<EpisodicPattern> {
        let clusters = self.clusters(episodes);
        let large = clusters.iter().filter(|cluster| cluster.len() >= self.min_cluster_size);
        merge_similar(large.filter_map(|cluster| extract(cluster)).collect())
    }

    /// The two clusters with the closest centroids become one, until none are close enough. Of equal ones the first two.
    fn clusters<'a>(&self, episodes: &'a [Episode]) -> Vec<Vec<&'a Episode>> {
        let mut sorted: Vec<&Episode> = episodes.iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id));
        let mut clusters: Vec<Vec<&Episode>> = sorted.into_iter().map(|episode| vec![episode]).collect();
        loop {
            let centroids: Vec<_> = clusters.iter().map(|cluster| mean(cluster)).collect();
            let pairs = (0..clusters.len()).flat_map(|i| (i + 1..clusters.len()).map(move |j| (i, j)));
            let scored = pairs.map(|(i, j)| (cosine(&centroids[i], &centroids[j]), i, j));
            let closest = scored.reduce(|best, pair| if pair.0 > best.0 { pair } else { best });
            match closest {
                Some((similarity, i, j)) if similarity >= self.similarity_threshold => {
                    let joined = clusters.remove(j);
                    clusters[i].extend(joined);
                }
                _ => return clusters,
            }
        }
    }
}

/// The id of a pattern of these episodes, duplicates and all.
pub fn pattern_id(source_episodes: &[String]) -> String {
    let mut hasher = DefaultHasher::new();
    for episode in source_episodes {
        episode.hash(&mut hasher);
    }
    format!("pattern_{}", hasher.finish())
}

#[expect(clippy::cast_precision_loss, reason = "a cluster has a few episodes")]
fn extract(cluster: &[&Episode]) -> Option<EpisodicPattern> {
    let embedding = mean(cluster);
    let similarity: f32 = cluster.iter().map(|episode| cosine(&episode.embedding, &embedding)).sum();
    let mut source_episodes: Vec<String> = cluster.iter().map(|episode| episode.id.clone()).collect();
    source_episodes.sort();
    Some(EpisodicPattern {
        id: pattern_id(&source_episodes),
        embedding,
        source_episodes,
        strength: similarity / cluster.len() as f32,
        last_occurrence: cluster.iter().map(|episode| episode.when).max()?,
        occurrence_count: cluster.len(),
    })
}

/// Patterns that are almost alike become one. (Only here are duplicates removed.)
fn merge_similar(mut patterns: Vec<EpisodicPattern>) -> Vec<EpisodicPattern> {
    patterns.sort_by(|a, b| a.id.cmp(&b.id));
    let mut merged: Vec<EpisodicPattern> = Vec::new();
    for pattern in patterns {
        match merged.iter_mut().find(|into| cosine(&into.embedding, &pattern.embedding) > 0.9) {
            Some(into) => merge(into, pattern),
            None => merged.push(pattern),
        }
    }
    merged
}

#[expect(clippy::cast_precision_loss, reason = "a cluster has a few episodes")]
fn merge(into: &mut EpisodicPattern, other: EpisodicPattern) {
    let [a, b] = [into.occurrence_count, other.occurrence_count].map(|count| count as f32);
    for (component, of_other) in into.embedding.iter_mut().zip(&other.embedding) {
        *component = (*component * a + of_other * b) / (a + b);
    }
    into.strength = (into.strength * a + other.strength * b) / (a + b);
    into.source_episodes.extend(other.source_episodes);
    into.source_episodes.sort();
    into.source_episodes.dedup();
    into.last_occurrence = into.last_occurrence.max(other.last_occurrence);
    into.occurrence_count += other.occurrence_count;
    into.id = pattern_id(&into.source_episodes);
}

/// The mean, by Kahan's summation.
#[expect(clippy::cast_precision_loss, reason = "a cluster has a few episodes")]
fn mean(cluster: &[&Episode]) -> [f32; EMBEDDING_DIM] {
    std::array::from_fn(|component| {
        let (mut sum, mut lost) = (0.0f32, 0.0f32);
        for episode in cluster {
            let corrected = episode.embedding[component] - lost;
            let next = sum + corrected;
            lost = (next - sum) - corrected;
            sum = next;
        }
        sum / cluster.len() as f32
    })
}

/// The cosine in single precision, so that rounding may lift it above 1.
pub fn cosine(a: &[f32; EMBEDDING_DIM], b: &[f32; EMBEDDING_DIM]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let [a, b] = [a, b].map(|of| of.iter().map(|component| component * component).sum::<f32>().sqrt());
    if a > 0.0 && b > 0.0 { dot / (a * b) } else { 0.0 }
}
