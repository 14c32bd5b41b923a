//! Restoring a store that is in use: what is wanted is made as a store within this one, looked at, and gone over to.
//!
//! Until the switch the store is what it was, and answers; after it what it was lies beside, as a store of its own, until it is
//! told to go. The switch itself is `store/switch.rs`.

use std::sync::Arc;

use codegraph_vector_ann::Metric;
use codegraph_vector_base::vfs;
use codegraph_vector_base::{Error, ErrorKind, Result};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::load_newest;

use super::create::{BackupOptions, BackupProgress};
use super::restore::{Place, RestoreReport, RestoreTarget};
use crate::filter::Filter;
use crate::options::{OpenOptions, Settings};
use crate::persistent::PersistentVectorStore;
use crate::store::core::Core;
use crate::store::{SearchRequest, Snapshot};

/// Where a restore is staged, within the store.
const STAGING: &str = "restoring";
/// Where what was replaced is kept, by the line of history that took its place.
const REPLACED: &str = "replaced";
/// Nodes of a staged store that have to find themselves.
const SAMPLED_SEARCHES: usize = 16;

/// How a store in use is restored.
#[derive(Clone)]
pub struct LiveRestoreOptions {
    /// Whether what is replaced is kept. Without, it is gone, but for what backups and archive have of it: for a store that is so
    /// damaged that it cannot be kept.
    pub keep_replaced: bool,
    /// Told after each file that was fetched.
    pub progress: Option<Arc<dyn Fn(BackupProgress) + Send + Sync>>,
}

impl Default for LiveRestoreOptions {
    fn default() -> Self {
        Self { keep_replaced: true, progress: None }
    }
}

impl Core {
    /// Makes the store what it was at some moment; see [`PersistentVectorStore::restore_to`].
    pub(crate) fn restore_live(
        self: &Arc<Self>,
        wanted: &RestoreTarget,
        options: &LiveRestoreOptions,
    ) -> Result<RestoreReport> {
        let writer = self.writer()?;
        let repository = self.repository()?;
        let Some(_alone) = writer.restoring.try_lock() else {
            return Err(Error::new(ErrorKind::Busy, "another restore of this store is under way"));
        };
        let vfs = &*self.environment.vfs;
        let staging = self.layout.root().join(STAGING);
        vfs::remove_tree(vfs, &staging)?;
        // What is about to be undone can be restored, too.
        if self.settings().archive.enabled {
            match self.archive_log() {
                // The archive is another store's, of which this one is a copy of the files: a restore is the way out.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                shipped => drop(shipped?),
            }
        }
        let restored = self.stage_and_switch(wanted, options);
        let cleared = vfs::remove_tree(vfs, &staging);
        let mut report = restored?;
        cleared?;
        self.archive_other_line();
        self.schedule_archive()?;
        if repository.is_writable() {
            // The new line needs a backup to be restored from, and has all but its manifest there already.
            let backup = self.create_backup(repository, &BackupOptions::default());
            report.backup = Some(backup.map(|backup| backup.backup_id).map_err(|error| error.to_string()));
        }
        self.clear_away()?;
        Ok(report)
    }

    /// Removes what restores have replaced; how many states that were.
    pub(crate) fn discard_replaced(&self) -> Result<u64> {
        self.writer()?;
        let vfs = &*self.environment.vfs;
        let folder = self.layout.root().join(REPLACED);
        let count = match vfs.list(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            names => names?.len() as u64,
        };
        vfs::remove_tree(vfs, &folder)?;
        Ok(count)
    }

    fn stage_and_switch(
        self: &Arc<Self>,
        wanted: &RestoreTarget,
        options: &LiveRestoreOptions,
    ) -> Result<RestoreReport> {
        let staging = StoreLayout::new(self.layout.root().join(STAGING));
        let mut progress = |done| {
            if let Some(progress) = &options.progress {
                progress(done);
            }
        };
        let repository = self.repository()?;
        let mut report =
            repository.restore(wanted, staging.root(), &self.environment, Place::InUse, &mut progress)?;
        self.settle_staged(&staging)?;
        let loaded = load_newest(&*self.environment.vfs, &staging)?;
        let replaced = self.layout.root().join(REPLACED).join(format!("{:010}", report.timeline));
        let before = || match options.keep_replaced {
            true => self.keep_as_fork(&replaced),
            false => Ok(()),
        };
        report.now_seqno = self.switch_to(&staging, &loaded.manifest, before)?;
        report.replaced = options.keep_replaced.then_some(replaced);
        Ok(report)
    }

    /// Opens what was staged, which replays and counts it, has all of it looked at, and in segments.
    fn settle_staged(&self, staging: &StoreLayout) -> Result<()> {
        let mut settings = Settings { background: false, ..(*self.settings()).clone() };
        settings.archive.enabled = false;
        let options = OpenOptions {
            must_exist: true,
            settings: Some(settings),
            environment: self.environment.clone(),
            ..OpenOptions::default()
        };
        let store = PersistentVectorStore::open(staging.root(), options)?;
        if store.core.store_id != self.store_id {
            let message = "this is a backup of another store; restore it to a new folder";
            return Err(Error::invalid(message));
        }
        store.flush()?;
        let report = store.verify()?;
        if let Some(bad) = report.bad_blocks.first() {
            let message = format!("what was restored is damaged: {}", bad.what);
            return Err(Error::new(ErrorKind::Corrupt, message).at(&bad.path));
        }
        check_searches(&store.snapshot()?, self.metric)?;
        store.close()
    }
}

/// Refuses a store some of whose nodes do not find themselves.
fn check_searches(snapshot: &Snapshot, metric: Metric) -> Result<()> {
    let count = snapshot.count(&Filter::everything())? as usize;
    for node in snapshot.iter()?.step_by((count / SAMPLED_SEARCHES).max(1)) {
        let node = node?;
        let square: f32 = node.embedding.iter().map(|value| value * value).sum();
        let own = match metric {
            Metric::Cosine => f32::from(square > 0.0),
            Metric::Dot => square,
            Metric::Euclidean => 0.0,
        };
        let found = snapshot.search(&SearchRequest::new(node.embedding, 1).with_exact(true))?;
        // What is kept of it may be a code.
        let least = own - 0.01 * square.max(1.0);
        if found.matches.first().is_none_or(|best| best.score < least) {
            let message = format!("a search in what was restored does not find node {}", node.id);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    }
    Ok(())
}
