//! A space, whatever its values are.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Duration;

use anti_entropy::{Error, Handle, Keyed, Marker};
use anti_entropy_net::swim::SpaceReplica;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use super::wire::View;

/// How long a session may take to end when the process is to.
const GRACE: Duration = Duration::from_secs(5);

/// A replica that is spoken to in words.
#[async_trait]
pub(super) trait Spoken: SpaceReplica {
    async fn put(&self, key: &str, value: &str) -> Result<(), Failure>;

    async fn take_away(&self, key: &str) -> Result<(), Failure>;

    async fn look(&self) -> Result<View, Failure>;

    async fn close(&self) -> Result<Marker, Failure>;
}

#[async_trait]
impl<K, V> Spoken for Handle<Keyed<K, V>>
where
    K: FromStr<Err: Into<Failure>> + ToString,
    K: Serialize + DeserializeOwned + Ord + Clone + Debug + Send + Sync + 'static,
    V: FromStr<Err: Into<Failure>> + ToString,
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    async fn put(&self, key: &str, value: &str) -> Result<(), Failure> {
        let item = Keyed::new(key.parse().map_err(Into::into)?, value.parse().map_err(Into::into)?);
        self.write(item).await?;
        Ok(())
    }

    async fn take_away(&self, key: &str) -> Result<(), Failure> {
        self.delete(key.parse().map_err(Into::into)?).await?;
        Ok(())
    }

    async fn look(&self) -> Result<View, Failure> {
        let view = self.with(|engine, _| {
            let mut entries = BTreeMap::new();
            engine.replica().for_each(|key, read| {
                let values = read.siblings().iter().map(|version| version.value.value.to_string());
                entries.insert(key.to_string(), values.collect());
                ControlFlow::Continue(())
            })?;
            let (replica, rounds) = (engine.replica().id().to_string(), engine.stats().rounds);
            Ok::<_, Error>(View { replica, entries, rounds })
        });
        Ok(view.await??)
    }

    async fn close(&self) -> Result<Marker, Failure> {
        Ok(self.shutdown(GRACE).await?)
    }
}
