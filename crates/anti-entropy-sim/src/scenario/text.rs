//! Scenarios in TOML.

use std::path::Path;

use super::check::invalid;
use super::{Scenario, ScenarioError};

impl Scenario {
    /// Reads a scenario in TOML and [checks](Self::check) it.
    ///
    /// ```
    /// use anti_entropy_sim::scenario::Scenario;
    ///
    /// let scenario = Scenario::from_toml(
    ///     "nodes = 3
    ///      duration_ms = 30_000
    ///      workload.operations = 50
    ///
    ///      [[step]]
    ///      start_ms = 1_000
    ///      end_ms = 9_000
    ///      nodes = [2]
    ///      fault = 'crash'
    ///      in_order = true",
    /// )?;
    /// assert_eq!(Scenario::from_toml(&scenario.to_toml()?)?, scenario);
    /// # Ok::<(), anti_entropy_sim::scenario::ScenarioError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, with its line of TOML or its step.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario = toml::from_str::<Self>(text)?;
        scenario.check_fields(&toml::from_str(text)?)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Writes the scenario in TOML.
    ///
    /// # Errors
    /// If a number is too large for TOML; [`check`](Self::check) refuses these too.
    pub fn to_toml(&self) -> Result<String, ScenarioError> {
        Ok(toml::to_string(self)?)
    }

    /// Reads a file with a scenario in TOML and [checks](Self::check) it.
    ///
    /// # Errors
    /// If the file cannot be read, or as for [`from_toml`](Self::from_toml); with the name of the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { path: path.to_owned(), error })?;
        Self::from_toml(&text).map_err(|error| ScenarioError::InFile { path: path.to_owned(), error: Box::new(error) })
    }

    /// Refuses misspelt fields of steps. serde cannot, since the fields depend on the fault, so the fields that were read are
    /// compared with those that would be written.
    fn check_fields(&self, read: &toml::Table) -> Result<(), ScenarioError> {
        let steps = read.get("step").and_then(toml::Value::as_array).into_iter().flatten();
        for (number, (step, read)) in self.steps.iter().zip(steps).enumerate() {
            let written = toml::Table::try_from(step)?;
            let unknown = read.as_table().into_iter().flat_map(toml::Table::keys);
            if let Some(field) = unknown.into_iter().find(|field| *field != "nodes" && !written.contains_key(*field)) {
                let fields = written.keys().map(String::as_str).filter(|field| *field != "nodes").collect::<Vec<_>>();
                return Err(invalid(
                    format!("step {} ({})", number + 1, step.fault.name()),
                    format!("there is no field `{field}`; the fields are nodes, {}", fields.join(", ")),
                ));
            }
        }
        Ok(())
    }
}
