//! What the store must say of itself: of the property that the workload sets, and of how it is compressed.
//!
//! Guards against: a property or a policy that was acknowledged and is lost or taken back, half a value, one that a
//! flush, a merge or a configuration undoes.

use codegraph_vector::{Compression, ErrorKind, PersistentVectorStore, Result};
use codegraph_vector_testkit::Rng;

use super::model::Check;

const NAME: &str = "sim.mark";

/// What a store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    mark: Option<String>,
    compression: Option<Compression>,
}

/// What it must say, as it was acknowledged and as it may be.
#[derive(Clone, Debug, Default)]
pub struct Property {
    kept: Said,
    /// What it is being made to say.
    under_way: Option<Said>,
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

impl Said {
    fn by(store: &PersistentVectorStore) -> Check<Self> {
        let mark = store.property(NAME).map_err(|error| format!("property: {error}"))?;
        Ok(Self { mark, compression: store.settings().compression })
    }
}

impl Property {
    /// From now on a crash may leave this property.
    pub fn begin(&mut self, mark: Option<String>) {
        self.under_way = Some(Said { mark, ..self.kept.clone() });
    }

    /// From now on a crash may leave the store with this policy.
    pub fn begin_compression(&mut self, compression: Option<Compression>) {
        self.under_way = Some(Said { compression, ..self.kept.clone() });
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

    /// The same for a call that may have failed after it had changed the policy: the store tells of itself.
    pub fn end_compression(&mut self, outcome: &Result<()>, store: &PersistentVectorStore) -> Check {
        match outcome {
            Err(error) if error.kind() != ErrorKind::OutcomeUnknown => {
                let found = self.check(store)?;
                self.recovered(found);
            }
            outcome => self.end(outcome),
        }
        Ok(())
    }

    /// Refuses a store that says anything else; returns what it says.
    pub fn check(&self, store: &PersistentVectorStore) -> Check<Said> {
        let found = Said::by(store)?;
        if found == self.kept || self.under_way.as_ref() == Some(&found) {
            return Ok(found);
        }
        let short = |said: &Said| {
            let mark = said.mark.as_ref().map(|mark| (mark.len(), mark.get(..16).map(str::to_owned)));
            (mark, said.compression.as_ref().map(Compression::to_string))
        };
        Err(format!(
            "lost: the store says {:?}, not {:?} nor {:?}",
            short(&found),
            short(&self.kept),
            self.under_way.as_ref().map(short)
        ))
    }

    /// A store was opened for writing that said this: it promises it from now on.
    pub fn recovered(&mut self, found: Said) {
        *self = Self { kept: found, under_way: None };
    }
}
