//! Reading beside a writer in another process: no lock, no write, and never more than is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::frame::Check;
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Error, ErrorKind, Lsn, Result};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{Loaded, Manifest, load_newest};
use codegraph_vector_storage::wal::{ScanRange, SyncNote, wal_files};

use super::core::{Core, Manifests};
use super::create::check_not_lost;
use super::open::{Bounds, Recovered, assemble, check_schema, replay};
use super::open_segments::recover;
use crate::budget::Budget;
use crate::options::{OpenOptions, Settings};

/// How often a read starts over because the writer cleared away what it was about to look at.
const ATTEMPTS: usize = 16;
/// How often the note is read again that was caught half-written.
const NOTE_ATTEMPTS: usize = 3;

/// Opens the newest durable state of a store.
pub(super) fn open(
    layout: StoreLayout,
    options: &OpenOptions,
    budget: Option<&Arc<Budget>>,
) -> Result<Arc<Core>> {
    let (loaded, recovered) = match read(&layout, options) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            check_not_lost(&*options.environment.vfs, &layout)?;
            return Err(error);
        }
        outcome => outcome?,
    };
    assemble(layout, options, &loaded, recovered, None, budget)
}

fn read(layout: &StoreLayout, options: &OpenOptions) -> Result<(Loaded, Recovered)> {
    let vfs = &*options.environment.vfs;
    let mut attempt = 0;
    loop {
        let loaded = load_newest(vfs, layout)?;
        check_schema(&loaded.manifest.schema, layout, options)?;
        let limit = durable_limit(vfs, layout, &loaded.manifest)?;
        // What a reader is limited to is known to be durable, too.
        let proven = if limit == Lsn(u64::MAX) { loaded.manifest.proven_lsn } else { limit };
        let error = match recover(vfs, layout, &loaded, Bounds { proven, limit }, options) {
            Ok(_) if limit == Lsn(u64::MAX) && durable_limit(vfs, layout, &loaded.manifest)? != limit => {
                came_between()
            }
            // What is missing may have been merged away meanwhile.
            Ok(recovered)
                if !recovered.version.missing.is_empty()
                    && load_newest(vfs, layout)?.manifest.generation != loaded.manifest.generation =>
            {
                came_between()
            }
            Ok(recovered) => return Ok((loaded, recovered)),
            Err(error) => error,
        };
        attempt += 1;
        let replaced = error.kind() == ErrorKind::Stale
            || load_newest(vfs, layout)?.manifest.generation != loaded.manifest.generation;
        match (replaced, attempt < ATTEMPTS) {
            (true, true) => {}
            (true, false) => {
                let message = format!("the store changed {ATTEMPTS} times while it was opened: {error}");
                return Err(Error::new(ErrorKind::Stale, message));
            }
            (false, _) => return Err(error),
        }
    }
}

/// Up to where the log may be read: what a power cut can no longer take.
fn durable_limit(vfs: &dyn Vfs, layout: &StoreLayout, manifest: &Manifest) -> Result<Lsn> {
    let synced = match read_note(vfs, layout, manifest)? {
        // Nobody wrote since the machine started: all that is in the log has been through the disk.
        Note::OfAnotherBoot => return Ok(Lsn(u64::MAX)),
        // True whoever writes by now. What a writer that has just taken over says by the file that it made
        // is not: the file shows before its name is durable.
        Note::OfThisBoot(note) => note.synced_lsn,
        Note::Unreadable => wal_files(vfs, &layout.wal_dir())?.last().copied().unwrap_or_default(),
    };
    Ok(synced.max(manifest.proven_lsn))
}

/// The log was believed as nobody wrote it, and then somebody did.
fn came_between() -> Error {
    Error::new(ErrorKind::Stale, "a writer opened the store meanwhile")
}

/// What the writer left beside the log.
enum Note {
    /// Nothing that counts since the machine started.
    OfAnotherBoot,
    /// A writer of this boot says how far it synced.
    OfThisBoot(SyncNote),
    /// A writer of this boot said something.
    Unreadable,
}

fn read_note(vfs: &dyn Vfs, layout: &StoreLayout, manifest: &Manifest) -> Result<Note> {
    let file = match vfs.open(&layout.lock_path(), OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Note::OfAnotherBoot),
        opened => opened?,
    };
    for _ in 0..NOTE_ATTEMPTS {
        if let Some(note) = SyncNote::read(&*file, manifest.store_id)? {
            let another = vfs.boot_id().is_some_and(|boot| boot != note.boot_id);
            return Ok(if another { Note::OfAnotherBoot } else { Note::OfThisBoot(note) });
        }
    }
    // Caught half-written, or damaged. Its first part, which stays the same within a boot, still tells of which.
    let boot_id = SyncNote::read_boot_id(&*file)?;
    let now = boot_id.is_some_and(|boot| vfs.boot_id().is_none_or(|now| now == boot));
    Ok(if now { Note::Unreadable } else { Note::OfAnotherBoot })
}

impl Core {
    /// Moves a read-only store on to what the writer has made durable since. In a store open for
    /// writing there is nothing to do.
    pub(crate) fn refresh(&self) -> Result<()> {
        self.check_open()?;
        if self.writer.is_some() {
            return Ok(());
        }
        let vfs = &*self.environment.vfs;
        let (environment, refuse_damaged) = (self.environment.clone(), self.refuses_damaged);
        let options = OpenOptions { read_only: true, environment, refuse_damaged, ..OpenOptions::default() };
        let mut manifests = self.manifests.lock();
        let newest = load_newest(vfs, &self.layout)?;
        if newest.manifest.generation == manifests.current.generation && self.follow(&newest.manifest).is_ok()
        {
            return Ok(());
        }
        let (loaded, recovered) = read(&self.layout, &options)?;
        let mut head = self.head.lock();
        if recovered.head.cut.seqno < self.visible() {
            return Ok(()); // The note could not be read for once; what was seen stays seen.
        }
        *head = recovered.head;
        let seqno = head.cut.seqno;
        if let Some(budget) = &self.budget {
            recovered.version.memtable.charge_to(budget);
        }
        self.version.store(Arc::new(recovered.version));
        self.visible.store(seqno.0, Ordering::Release);
        self.feed.refreshed(&head.cut);
        *self.recovery.lock() = recovered.report;
        let kept = Settings::default().with_pairs(&loaded.manifest.settings)?;
        self.settings.store(Arc::new(self.settings().compressed_as(&kept)));
        *manifests = Manifests { current: loaded.manifest, previous: loaded.previous, retired: Vec::new() };
        Ok(())
    }

    /// Applies what has come into the log since.
    fn follow(&self, manifest: &Manifest) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let limit = durable_limit(vfs, &self.layout, manifest)?;
        let mut head = self.head.lock();
        let from = head.cut.lsn;
        let proven = if limit == Lsn(u64::MAX) { from } else { limit };
        let range = ScanRange { from, proven, limit, check: Check::Verify };
        let version = self.version.load_full();
        let followed = replay(vfs, &self.layout, self.store_id, range, &version, &mut head, self.dimension);
        if limit == Lsn(u64::MAX) && durable_limit(vfs, &self.layout, manifest)? != limit {
            return Err(came_between());
        }
        self.visible.store(head.cut.seqno.0, Ordering::Release);
        self.feed.refreshed(&head.cut);
        followed.map(|_| ())
    }
}
