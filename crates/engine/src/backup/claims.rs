//! Who is at the objects of a store: backups, which count on those that are there, and a prune, which removes some.
//!
//! Either puts a claim before it looks at objects, and then looks for claims of the other kind; if there is one, it steps back. A
//! target that shows what was put to all who look after that lets at least one of two see the other. What was killed leaves
//! its claim behind, which counts until it is old.

use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_objects::Put;

use super::repository::{Repository, rfc3339};
use crate::options::Environment;

const SECOND: u64 = 1_000_000;

/// Who claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Counts on every object that is there.
    Backup,
    /// Removes objects that no backup names.
    Prune,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Backup => "backup",
            Who::Prune => "prune",
        }
    }

    /// How long a claim counts, in µs. Whoever works is done by then, or ends.
    pub(super) fn counts_for_us(self) -> u64 {
        match self {
            Who::Backup => 24 * 3600 * SECOND,
            Who::Prune => 900 * SECOND,
        }
    }

    fn other(self) -> Self {
        match self {
            Who::Backup => Who::Prune,
            Who::Prune => Who::Backup,
        }
    }
}

/// A claim that was put.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    repository: &'a Repository,
    name: String,
}

impl<'a> Claim<'a> {
    /// Puts a claim.
    ///
    /// # Errors
    /// `Busy` if the other kind is at work, unless its claims are not `heeded`.
    pub(super) fn take(
        repository: &'a Repository,
        environment: &Environment,
        who: Who,
        heeds: bool,
    ) -> Result<Self> {
        let now = environment.clock.now_us();
        let mut number = [0; 8];
        environment.random.fill(&mut number)?;
        let folder = repository.name(&format!("claims/{}/", who.name()));
        let name = format!("{folder}{now:020}-{:016x}", u64::from_le_bytes(number));
        repository.target.put(&name, &Vec::new(), Put::Create)?;
        let claim = Self { repository, name };
        let others = repository.name(&format!("claims/{}/", who.other().name()));
        for other in repository.target.list(&others)?.objects {
            let file = other.name.rsplit('/').next().unwrap_or_default();
            let since = file.split('-').next().and_then(|since| since.parse::<u64>().ok()).unwrap_or(now);
            if now.saturating_sub(since) > who.other().counts_for_us() {
                repository.target.delete(&other.name)?;
            } else if heeds {
                let message = format!(
                    "a {} has been at work since {}; try again when it is done",
                    who.other().name(),
                    rfc3339(since)
                );
                return Err(Error::new(ErrorKind::Busy, message).at(repository.target.path_of(&other.name)));
            }
        }
        Ok(claim)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // One that stays grows old.
        let _ = self.repository.target.delete(&self.name);
    }
}
