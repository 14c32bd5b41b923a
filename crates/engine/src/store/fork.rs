//! Forks: an independent store from a snapshot, in time proportional to the number of files.
//!
//! What always holds:
//! - the fork's folder opens as a store only once it is one: its manifest is written last, when all that it names is durable;
//! - until somebody has opened it, a mark ([`StoreLayout::fork_mark_path`]) lies in it, which says that whatever is there may
//!   be cleared away and made anew; so a fork that was cut short, wherever, is done again by the same call;
//! - nothing is shared but segment files, which never change: each store removes its own names of them. Death files, log,
//!   manifests and settings are the fork's own;
//! - the source is only read, beside its flush: others write, flush and merge meanwhile.
//!
//! SeqNos go on where the source was, on a timeline of the fork's own: no cursor of one is good in the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::{self, OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{Epoch, Error, ErrorKind, Generation, Lsn, Result, SegmentId, SeqNo, StoreId};
use codegraph_vector_storage::manifest::{self, Checkpoint, Manifest, SegmentRef};
use codegraph_vector_storage::wal::Appender;
use codegraph_vector_storage::{StoreLayout, read_deaths, write_deaths};

use super::core::Core;
use super::prepared::InDoubt;
use super::vacant::make_at;
use crate::consistency::PreparedTransactions;
use crate::options::OpenOptions;
use crate::persistent::PersistentVectorStore;

/// How often a fork looks for the newest manifest again because files of the one before were cleared away.
const ATTEMPTS: usize = 32;
/// Bytes that are copied at a time where links cannot be made.
const COPY_BYTES: usize = 1 << 20;

/// How a store is forked.
#[derive(Clone, Debug, Default)]
pub struct ForkOptions {
    /// Where the fork's backups go; beside it unless said.
    pub backups: Option<PathBuf>,
}

/// What a fork is, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkReport {
    /// The fork's identity.
    pub store_id: StoreId,
    /// The store that it was made of.
    pub source: StoreId,
    /// The fork's line of history.
    pub timeline: u64,
    /// The last commit in it.
    pub seqno: SeqNo,
    /// Its segment files.
    pub segments: u64,
    /// Those of them that are copies, because they could not be linked.
    pub copied: u64,
    /// Bytes of these.
    pub copied_bytes: u64,
    /// Transactions that were prepared and not decided in the source, and are rolled back in the fork.
    pub rolled_back: Vec<InDoubt>,
}

impl PersistentVectorStore {
    /// Makes an independent store at `path`, which must be missing or empty, of what is committed now, and opens it with the
    /// settings of this one. Nothing of one shows in the other from then on, and either can be deleted.
    ///
    /// It takes a flush, then time in proportion to the number of files: segments are linked, or copied where the file
    /// system has no links. Writes go on meanwhile. Settings and properties are copied, pins of the change feed and
    /// prepared transactions are not. SeqNos go on, on another [timeline](crate::StorageHeader::timeline).
    ///
    /// After a crash or failure, calling it again completes it.
    ///
    /// ```
    /// # fn main() -> codegraph_vector::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// use codegraph_vector::{CodeNode, PersistentVectorStore};
    ///
    /// let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2)?;
    /// store.put(CodeNode::new(7, vec![0.5, 1.0]))?;
    /// let branch = store.fork(folder.path().join("branch"))?;
    /// branch.delete(7)?;
    /// assert!(store.get(7)?.is_some() && branch.get(7)?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` if there is something at `path`; `Busy` if somebody is at it; `ReadOnly` if this store was not opened for
    /// writing; those of a flush; what the file system says.
    pub fn fork(&self, path: impl AsRef<Path>) -> Result<PersistentVectorStore> {
        self.fork_with(path, &ForkOptions::default()).map(|(fork, _)| fork)
    }

    /// The same with options; also says what was done.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn fork_with(
        &self,
        path: impl AsRef<Path>,
        options: &ForkOptions,
    ) -> Result<(PersistentVectorStore, ForkReport)> {
        let report = self.core.fork(path.as_ref())?;
        let (settings, environment) = (Some(self.settings()), self.core.environment.clone());
        let opening = OpenOptions {
            must_exist: true,
            settings,
            backups: options.backups.clone(),
            environment,
            #[cfg(feature = "test-switches")]
            switches: self.core.switches,
            ..OpenOptions::default()
        };
        Ok((PersistentVectorStore::open(path, opening)?, report))
    }
}

impl Core {
    /// Makes a fork, and leaves it closed.
    fn fork(&self, path: &Path) -> Result<ForkReport> {
        self.writer()?;
        let target = StoreLayout::new(path);
        check_is_outside(&self.layout, &target)?;
        self.fork_within(path)
    }

    /// The same, also within the store's own folder.
    pub(super) fn fork_within(&self, path: &Path) -> Result<ForkReport> {
        let vfs = &*self.environment.vfs;
        let target = StoreLayout::new(path);
        let what = format!("a fork of store {}", self.store_id);
        make_at(vfs, &target, &what, || self.make_fork(&target))
    }

    fn make_fork(&self, target: &StoreLayout) -> Result<ForkReport> {
        let vfs = &*self.environment.vfs;
        let mut id = [0; 16];
        self.environment.random.fill(&mut id)?;
        let mut making =
            Making { source: &self.layout, target, vfs, linked: BTreeSet::new(), copied: (0, 0) };
        let (source, segments) = self.bring_segments(&mut making, StoreId(id))?;
        let manifest = manifest_of(&source, StoreId(id), segments, self.environment.clock.now_us());
        // Those of manifests that were left behind.
        for path in manifest::unreferenced(vfs, target, &[&manifest])? {
            vfs.remove_file(&path)?;
        }
        vfs.sync_dir(&target.segments_dir())?;
        let seal = Seal { store: manifest.store_id, epoch: manifest.epoch };
        let max_file_bytes = self.settings.load().max_wal_file_bytes;
        Appender::create(self.environment.vfs.clone(), target.wal_dir(), seal, max_file_bytes)?;
        manifest::install(vfs, target, None, &manifest)?;
        let (copied, copied_bytes) = making.copied;
        Ok(ForkReport {
            store_id: manifest.store_id,
            source: self.store_id,
            timeline: manifest.timeline,
            seqno: manifest.checkpoint.seqno,
            segments: manifest.segments.len() as u64,
            copied,
            copied_bytes,
            rolled_back: PreparedTransactions::from_manifest(&source.prepared, self.dimension)?
                .undecided()
                .map(|transaction| InDoubt::from(&**transaction))
                .collect(),
        })
    }

    /// Brings the files of a new checkpoint over; starts over with the next one if they are cleared away meanwhile.
    fn bring_segments(&self, making: &mut Making<'_>, id: StoreId) -> Result<(Manifest, Vec<SegmentRef>)> {
        let mut attempt = 1;
        loop {
            let source = self.standalone_checkpoint()?;
            let brought = source.segments.iter().map(|known| making.bring(known, (self.store_id, id)));
            match brought.collect::<Result<Vec<_>>>() {
                Ok(segments) => return Ok((source, segments)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let is_newest = self.manifests.lock().current.generation == source.generation;
                    match (is_newest, attempt < ATTEMPTS) {
                        (true, _) => {
                            return Err(error
                                .as_kind(ErrorKind::Corrupt)
                                .context("a file of the store is missing"));
                        }
                        (false, true) => attempt += 1,
                        (false, false) => return Err(error.as_kind(ErrorKind::Stale)),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Files on their way from one store to another.
struct Making<'a> {
    source: &'a StoreLayout,
    target: &'a StoreLayout,
    vfs: &'a dyn Vfs,
    /// Segments that are there already.
    linked: BTreeSet<SegmentId>,
    /// Files that had to be copied, and their bytes.
    copied: (u64, u64),
}

impl Making<'_> {
    /// Brings a segment and its deaths over; how the fork's manifest is to name it.
    fn bring(&mut self, known: &SegmentRef, (from, to): (StoreId, StoreId)) -> Result<SegmentRef> {
        if !self.linked.contains(&known.id) {
            let (from, to) = (self.source.segment_path(known.id), self.target.segment_path(known.id));
            if let Some(bytes) = link_or_copy(self.vfs, &from, &to)? {
                self.copied.0 += 1;
                self.copied.1 += bytes;
            }
            self.linked.insert(known.id);
        }
        let deaths = known.deaths.as_ref().map(|deaths| {
            let path = self.source.deaths_path(known.id, deaths.generation);
            let rows = read_deaths(self.vfs, &path, from, known.id, known.rows, deaths)?;
            let first = Generation(1);
            write_deaths(self.vfs, &self.target.deaths_path(known.id, first), to, known.id, first, &rows)
        });
        Ok(SegmentRef { deaths: deaths.transpose()?, ..known.clone() })
    }
}

/// Gives a file another name, or, where the file system has no links, copies it, durably; the bytes that were copied.
pub(super) fn link_or_copy(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<Option<u64>> {
    match vfs.hard_link(from, to) {
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        linked => return linked.map(|()| None),
    }
    let source = vfs.open(from, OpenMode::Read)?;
    vfs::publish(vfs, to, |file| copy(&source, file))?;
    source.len().map(Some)
}

fn copy(from: &Arc<dyn VfsFile>, to: &dyn VfsFile) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let got = from.read_at(&mut buffer, at)?;
        to.write_at(&buffer[..got], at)?;
        at += got as u64;
        if got < buffer.len() {
            return Ok(());
        }
    }
}

/// The first manifest of a fork: all of the source's checkpoint, and none of its log.
fn manifest_of(source: &Manifest, id: StoreId, segments: Vec<SegmentRef>, now_us: u64) -> Manifest {
    let Checkpoint { seqno, commit_time_us, .. } = source.checkpoint;
    let mut fork = Manifest {
        timeline: source.timeline + 1,
        checkpoint: Checkpoint { lsn: Lsn(0), seqno, commit_time_us },
        proven_seqno: seqno,
        clean_close: Some(Lsn(0)),
        epoch: Epoch(0),
        next_segment_id: source.next_segment_id,
        segments,
        settings: source.settings.clone(),
        contents: source.contents,
        ..Manifest::initial(id, source.schema.clone(), now_us)
    };
    fork.clear_pins();
    fork
}

/// Refuses a folder within the store's own.
fn check_is_outside(source: &StoreLayout, target: &StoreLayout) -> Result<()> {
    if target.root().starts_with(source.root()) {
        let message = "a fork inside of the store that it is made of would go with it; name another folder";
        return Err(Error::invalid(message).at(target.root()));
    }
    Ok(())
}
