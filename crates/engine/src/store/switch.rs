//! Going over to another state of the store as a whole, while readers go on: the end of a restore of a store that is in use.
//!
//! What always holds:
//! - the switch is one manifest: before it the store is what it was, after it what was staged, whenever the machine stops;
//! - what was staged is brought into the store, durably, before that manifest names it;
//! - no write is half here and half there: writers wait at the gate, nothing is queued or in doubt, open transactions are over;
//! - SeqNos go on: the new state is a commit of its own, behind all that were ever given, so that none means two states. What
//!   readers hold stays as it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::vfs;
use codegraph_vector_base::{Error, ErrorKind, Result, SegmentId, SeqNo};
use codegraph_vector_storage::manifest::{Checkpoint, Manifest, SegmentRef};
use codegraph_vector_storage::{StoreLayout, read_deaths, write_deaths};

use super::commit::Assigned;
use super::core::{Core, Head, Manifests, Writer};
use super::fork::link_or_copy;
use super::maintenance::Building;
use super::open::count;
use super::prepared::hold;
use crate::consistency::PreparedTransactions;
use crate::memtable::Memtable;
use crate::version::{Cut, Version};

impl Core {
    /// Makes the store what `staged` is: a closed store of the same identity, in a folder within this one's, with this manifest. `before` is
    /// run when nothing is written any more and nothing has changed yet. The commit that the new state counts as.
    ///
    /// # Errors
    /// `Conflict` if transactions are in doubt; `Busy` if a write holds nodes that one needs which is in doubt in the new state; those of
    /// `before`; what the file system says. But for a switch whose outcome is unknown, the store is what it was.
    pub(crate) fn switch_to(
        self: &Arc<Self>,
        staged: &StoreLayout,
        manifest: &Manifest,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<SeqNo> {
        let writer = self.writer()?;
        // A merge at work may take a while, for which nobody has to wait at the gate.
        drop(writer.merging.lock());
        self.transactions.abandon_all(self);
        let _nobody_writes = writer.gate.write();
        self.drain()?;
        self.check_undecided()?;
        before()?;
        let _no_repair = writer.repairing.lock();
        let _no_flush = writer.flushing.lock();
        let _no_merge = writer.merging.lock();
        let kept = self.bring(writer, staged, manifest)?;
        let synced = writer.log.sync()?;
        self.leave_note(writer, synced)?;
        let prepared = PreparedTransactions::from_manifest(&manifest.prepared, self.dimension)?;
        let held = hold(&writer.locks, &writer.validating, &prepared)
            .map_err(|error| error.as_kind(ErrorKind::Busy).context("a write is under way; try again"))?;
        writer.next_segment.fetch_max(manifest.next_segment_id.0, Ordering::Relaxed);
        let now = self.head.lock().cut;
        let cut = Cut {
            seqno: now.seqno.next(),
            lsn: now.lsn,
            commit_time_us: now.commit_time_us.max(self.environment.clock.now_us()),
        };
        let mut manifests = self.manifests.lock();
        self.check_open()?;
        self.install_switch(&mut manifests, staged, manifest, cut)?;
        self.show_switch(&mut manifests, writer, Head { cut, prepared, ..Head::default() })?;
        drop(manifests);
        *writer.prepared.lock() = held;
        drop(kept);
        self.look_up_codec();
        Ok(cut.seqno)
    }

    fn check_undecided(&self) -> Result<()> {
        let undecided: Vec<String> = self
            .head
            .lock()
            .prepared
            .undecided()
            .map(|transaction| transaction.head.txn.to_string())
            .collect();
        if undecided.is_empty() {
            return Ok(());
        }
        let message = format!(
            "prepared transactions wait for their decision, which a restore would take from them: {}; commit or roll them \
             back first",
            undecided.join(", ")
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Gives the segments that were staged names in the store, durably.
    fn bring<'a>(
        &self,
        writer: &'a Writer,
        staged: &StoreLayout,
        manifest: &Manifest,
    ) -> Result<Vec<Building<'a>>> {
        let vfs = &*self.environment.vfs;
        let current = self.manifests.lock().current.clone();
        let bad: Vec<SegmentId> = self.quarantined().iter().map(|bad| bad.segment).collect();
        let mut kept = Vec::new();
        for info in &manifest.segments {
            kept.push(writer.maintenance.keep(info.id));
            match current.segment(info.id) {
                Some(known) if known.file == info.file && known.origin == info.origin => {
                    if bad.contains(&info.id) {
                        self.replace(staged, info.id)?;
                    }
                    continue;
                }
                Some(_) => {
                    let message = format!(
                        "segment {} of the restored state is another one here: the backups could not be written to, so the two \
                         lines of history gave one number twice; restore to a new folder",
                        info.id
                    );
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                None => {}
            }
            let path = self.layout.segment_path(info.id);
            if vfs.exists(&path)? {
                // Of a switch that was cut short, or that a snapshot still reads.
                self.open_segment(&SegmentRef { deaths: None, ..info.clone() })?;
            } else {
                link_or_copy(vfs, &staged.segment_path(info.id), &path)?;
            }
        }
        vfs.sync_dir(&self.layout.segments_dir())?;
        Ok(kept)
    }

    /// Puts a staged file in the place of the same one that is damaged. Who reads that goes on with it.
    fn replace(&self, staged: &StoreLayout, id: SegmentId) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let path = self.layout.segment_path(id);
        let beside = vfs::temporary(&path);
        vfs::remove_tree(vfs, &beside)?;
        link_or_copy(vfs, &staged.segment_path(id), &beside)?;
        vfs.rename(&beside, &path)?;
        self.caches().forget(id);
        Ok(())
    }

    fn install_switch(
        &self,
        manifests: &mut Manifests,
        staged: &StoreLayout,
        manifest: &Manifest,
        cut: Cut,
    ) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let settings = self.settings().to_pairs();
        self.install_locked(manifests, |next| {
            let mut segments = Vec::new();
            for info in &manifest.segments {
                let deaths = info.deaths.as_ref().map(|deaths| {
                    let path = staged.deaths_path(info.id, deaths.generation);
                    let rows = read_deaths(vfs, &path, self.store_id, info.id, info.rows, deaths)?;
                    let path = self.layout.deaths_path(info.id, next.generation);
                    write_deaths(vfs, &path, self.store_id, info.id, next.generation, &rows)
                });
                segments.push(SegmentRef { deaths: deaths.transpose()?, ..info.clone() });
            }
            vfs.sync_dir(&self.layout.segments_dir())?;
            next.segments = segments;
            next.timeline = manifest.timeline;
            next.contents = manifest.contents;
            next.prepared = manifest.prepared.clone();
            let Cut { seqno, lsn, commit_time_us } = cut;
            next.checkpoint = Checkpoint { seqno, lsn, commit_time_us };
            // Properties tell of what is in the store; settings of how it is used.
            next.settings = manifest.settings.clone();
            next.set_settings(settings);
            next.clear_pins();
            next.set_line_began(seqno, lsn);
            Ok(())
        })
    }

    /// Lets readers and writers see what the newest manifest names.
    fn show_switch(&self, manifests: &mut Manifests, writer: &Writer, mut head: Head) -> Result<()> {
        let opened = manifests.current.segments.iter().map(|info| self.open_segment(info).map(Arc::new));
        let opened = opened.collect::<Result<Vec<_>>>().inspect_err(|error| {
            // What is on the disk is the new state, and what is in memory the old one.
            let message = format!("the store takes no more writes until it is reopened: {error}");
            writer.log.shut(Error::new(ErrorKind::ReadOnly, message));
        })?;
        let memtable = Arc::new(Memtable::new());
        if let Some(budget) = &self.budget {
            memtable.charge_to(budget);
        }
        let cut = head.cut;
        let version = Version {
            memtable,
            frozen: Vec::new(),
            segments: opened,
            missing: Arc::default(),
            floor: cut.seqno,
        };
        head.totals = count(&version.segments)?;
        let mut applied = self.head.lock();
        writer.log.with_state(|assigned| *assigned = Assigned::after(&head));
        *applied = head;
        let old = self.version.load_full();
        let is_gone = |id: SegmentId| manifests.current.segment(id).is_none();
        let retired = old.segments.iter().filter(|segment| is_gone(segment.info.id));
        manifests.retired.extend(retired.map(|segment| (segment.info.id, Arc::downgrade(segment))));
        self.feed.restored();
        self.version.store(Arc::new(version));
        self.visible.store(cut.seqno.0, Ordering::Release);
        self.feed.refreshed(&cut);
        Ok(())
    }

    /// Keeps what the store is now as a store of its own, in a folder within this one's.
    pub(crate) fn keep_as_fork(&self, path: &Path) -> Result<()> {
        vfs::remove_tree(&*self.environment.vfs, path)?;
        let kept = self.fork_within(path).map(|_| ());
        kept.map_err(|error| {
            error.context("what the store is cannot be kept; restore without keeping it (--discard)")
        })
    }
}
