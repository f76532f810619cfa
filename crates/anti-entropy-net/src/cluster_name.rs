use std::fmt;
use std::str::FromStr;

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};

/// The name of a cluster: 1 to 64 visible ASCII characters. Nodes of clusters with different names refuse each other,
/// even if they share keys and certificates.
///
/// ```
/// use anti_entropy_net::ClusterName;
///
/// let name: ClusterName = "orders-production".parse()?;
/// assert_eq!(name.as_str(), "orders-production");
/// assert!("two words".parse::<ClusterName>().is_err());
/// # Ok::<(), anti_entropy::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(Box<str>);

impl ClusterName {
    /// The longest name, in bytes. Two of them fit into the text of a refusal, and one into a membership datagram beside
    /// the longest name of a node.
    pub const MAX_BYTES: usize = 64;

    /// The cluster of this name.
    ///
    /// # Errors
    /// [`ConfigError`] if it is empty, longer than [`MAX_BYTES`](Self::MAX_BYTES), or has a character that is not
    /// visible ASCII.
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        if (1..=Self::MAX_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(name.into()));
        }
        // No more of it than tells a person which one it is: it may come from anywhere.
        let shown: String = name.chars().take(Self::MAX_BYTES).collect();
        Err(ConfigError::new("cluster", shown, "1 to 64 visible ASCII characters, without spaces"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a person should know when a node of another cluster was refused.
    pub(crate) fn refuses(&self, other: &Self) -> String {
        format!(
            "it is of cluster {other}, this node of {self}; give both one name if they belong together, or remove its \
             address here"
        )
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::new(name)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = ConfigError;

    fn try_from(name: String) -> Result<Self, ConfigError> {
        Self::new(&name)
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_visible() {
        let longest = "x".repeat(64);
        for good in ["a", "production", "eu-1/orders:v2", &longest] {
            let name = ClusterName::new(good).unwrap();
            assert_eq!((name.as_str(), name.to_string()), (good, good.to_owned()));
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<ClusterName>(&json).unwrap(), name);
        }
        for bad in ["", &"x".repeat(65), "a b", "ab\n", "\u{e9}", "a\u{7f}", &"\u{e9}".repeat(10_000)] {
            let error = ClusterName::new(bad).unwrap_err();
            assert!(error.field == "cluster" && error.to_string().len() < 1_000, "{error}");
            assert!(serde_json::from_value::<ClusterName>(bad.into()).is_err());
        }
    }

    #[test]
    fn a_refusal_has_room_for_both_names() {
        let [a, b] = ["a", "b"].map(|letter| ClusterName::new(&letter.repeat(64)).unwrap());
        let text = a.refuses(&b);
        assert!(text.len() <= 256 && text.contains(a.as_str()) && text.contains(b.as_str()), "{}", text.len());
    }
}
