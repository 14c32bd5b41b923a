//! What the store must say of the property that the workload sets.
//!
//! Guards against: a property that was acknowledged and is lost or taken back, half a value, one that a flush, a
//! merge or a configuration undoes.

use codegraph_vector::{ErrorKind, PersistentVectorStore, Result};
use codegraph_vector_testkit::Rng;

use super::model::Check;

const NAME: &str = "sim.mark";

/// The property, as it was acknowledged and as it may be.
#[derive(Clone, Debug, Default)]
pub struct Property {
    kept: Option<String>,
    /// What it is being set to.
    under_way: Option<Option<String>>,
}

/// Sets the property.
pub fn set(store: &PersistentVectorStore, value: Option<&str>) -> Result<()> {
    store.set_property(NAME, value)
}

/// A value to set, or to remove it; values of different lengths, so that manifests grow and shrink.
pub fn value(rng: &mut Rng) -> Option<String> {
    let mark = rng.next_u64();
    rng.chance(0.8).then(|| format!("{mark:016x}").repeat(*rng.pick(&[1, 1, 400])))
}

impl Property {
    /// From now on a crash may leave this.
    pub fn begin(&mut self, value: Option<String>) {
        self.under_way = Some(value);
    }

    /// The call has returned; whether the store is in limbo is asked elsewhere.
    pub fn end(&mut self, outcome: &Result<()>) {
        match outcome {
            Ok(()) => self.kept = self.under_way.take().unwrap_or_default(),
            // Then the next open tells.
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {}
            Err(_) => self.under_way = None,
        }
    }

    /// Refuses a store that says anything else; returns what it says.
    pub fn check(&self, store: &PersistentVectorStore) -> Check<Option<String>> {
        let found = store.property(NAME).map_err(|error| format!("property: {error}"))?;
        if found == self.kept || self.under_way.as_ref() == Some(&found) {
            return Ok(found);
        }
        let lost = |value: &Option<String>| {
            value.as_ref().map(|value| (value.len(), value.get(..16).map(str::to_owned)))
        };
        Err(format!(
            "lost: the property is {:?}, not {:?} nor {:?}",
            lost(&found),
            lost(&self.kept),
            self.under_way.as_ref().map(lost)
        ))
    }

    /// A store was opened for writing that said this: it promises it from now on.
    pub fn recovered(&mut self, found: Option<String>) {
        *self = Self { kept: found, under_way: None };
    }
}
