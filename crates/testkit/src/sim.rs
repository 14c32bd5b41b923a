//! The simulated file system: a handle to shared state, observed call by call.
//!
//! Each call is numbered and shown to the observer with no lock held; what it does to the disk
//! then happens under one lock, in [`State`].

mod content;
mod crash;
mod fault;
mod file;
mod file_node;
mod inspect;
mod names;
mod state;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile, VfsLock};
use codegraph_vector_base::{Error, ErrorKind, Result};
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use crash::CrashStyle;
pub use fault::{Action, Call, Fault, Lies, Observer, Op};

use crate::Rng;
use file::{SimFile, SimLock};
use file_node::Change;
use names::Folder;
use state::{Node, State};

/// An error number of Linux.
type Errno = i32;

const ENOENT: Errno = 2;
const EIO: Errno = 5;
const EBADF: Errno = 9;
const EEXIST: Errno = 17;
const EXDEV: Errno = 18;
const ENOTDIR: Errno = 20;
const EISDIR: Errno = 21;
const EINVAL: Errno = 22;
const EFBIG: Errno = 27;
const ENOSPC: Errno = 28;
const EROFS: Errno = 30;
const ENOTEMPTY: Errno = 39;

/// A file system in memory that knows what a power cut would leave. Clones share it.
///
/// Relative and absolute paths start at the same root. Files and folders become durable as the
/// contract in `base::vfs` says; a folder that is lost in a crash takes along what is in it, so the
/// parent of a new folder has to be synced as that of a new file does.
///
/// ```
/// use std::path::Path;
/// use codegraph_vector_base::vfs::{OpenMode, Vfs};
/// use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs};
///
/// let sim = SimVfs::new(1);
/// let file = sim.open(Path::new("/a"), OpenMode::Create)?;
/// file.write_at(b"kept", 0)?;
/// file.sync_data()?;
/// sim.sync_dir(Path::new("/"))?;
/// file.write_at(b"lost", 4)?;
///
/// let after = sim.crash(&mut Rng::new(2), CrashStyle::LoseUnsynced);
/// assert_eq!(after.read_all("/a").as_deref(), Some(&b"kept"[..]));
/// # Ok::<(), codegraph_vector_base::Error>(())
/// ```
#[derive(Clone)]
pub struct SimVfs {
    shared: Arc<Shared>,
}

/// Calls that changed a disk, in order; see [`SimVfs::watch_changes`].
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Mutex<Vec<Call>>>);

impl Changes {
    /// What there was since the last look.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock())
    }
}

struct Shared {
    state: Mutex<State>,
    calls: AtomicU64,
    observer: RwLock<Option<Arc<dyn Observer>>>,
}

impl SimVfs {
    /// An empty file system. The seed decides its boot id and what failed syncs leave.
    pub fn new(seed: u64) -> Self {
        Self::of(State::new(Rng::new(seed)))
    }

    fn of(state: State) -> Self {
        let observer = RwLock::new(None);
        Self { shared: Arc::new(Shared { state: Mutex::new(state), calls: AtomicU64::new(0), observer }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// A new, independent file system holding what a power cut now would leave on the disk. No
    /// handle, lock or map leads to it; capacity and lies are the disk's and stay, observer and
    /// read-only switch are not.
    pub fn crash(&self, rng: &mut Rng, style: CrashStyle) -> SimVfs {
        Self::of(crash::after(&self.lock(), rng, style))
    }

    /// A new, independent file system as the end of all processes now would leave it: everything
    /// written is there, what was not synced can still be lost by a crash, locks and maps are
    /// gone, and the boot id is the same. Also the way to get a copy.
    pub fn kill(&self) -> SimVfs {
        Self::of(crash::after_kill(&self.lock()))
    }

    /// Shows every call from now on to `observer`, through whichever handle it comes. An observer
    /// that keeps a `SimVfs` of this family keeps itself alive until [`SimVfs::clear_observer`].
    pub fn set_observer(&self, observer: Arc<dyn Observer>) {
        *self.shared.observer.write() = Some(observer);
    }

    /// Ends the observation.
    pub fn clear_observer(&self) {
        *self.shared.observer.write() = None;
    }

    /// Notes the calls that change the disk from now on, until another observer is set.
    pub fn watch_changes(&self) -> Changes {
        let changes = Changes::default();
        let seen = Arc::clone(&changes.0);
        self.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
            if call.op.mutates() {
                seen.lock().push(call.clone());
            }
            Action::Proceed
        }));
        changes
    }

    /// How many calls have been made on this file system and its files.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Counts a call and asks the observer what becomes of it. No lock may be held.
    fn call(&self, op: Op, path: &Path, offset: u64, len: u64) -> Option<Fault> {
        let index = self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let observer = self.shared.observer.read().clone()?;
        match observer.before(self, &Call { index, op, path: path.to_owned(), offset, len }) {
            Action::Proceed => None,
            Action::Fail(fault) => Some(fault),
        }
    }

    /// Makes a call that a fault stops as a whole.
    fn act<T>(
        &self,
        op: Op,
        action: &'static str,
        path: &Path,
        act: impl FnOnce(&mut State) -> Result<T, Errno>,
    ) -> Result<T> {
        let result = match self.call(op, path, 0, 0) {
            None => act(&mut self.lock()),
            Some(fault) => Err(fault.errno()),
        };
        result.map_err(|errno| Error::io(action, path, io::Error::from_raw_os_error(errno)))
    }
}

impl fmt::Debug for SimVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimVfs({} calls)", self.calls())
    }
}

impl Vfs for SimVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn VfsFile>> {
        let op = if mode == OpenMode::Create { Op::Create } else { Op::Open };
        self.act(op, "open", path, |state| {
            let file = open(self, state, path, mode)?;
            Ok(Arc::new(file) as Arc<dyn VfsFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        // As the real one does, the call and its error name the new name.
        self.act(Op::Rename, "rename to", to, |state| {
            state.check_writable()?;
            let (from, to) = (state.slot(from)?, state.slot(to)?);
            let ino = state.at(&from).ok_or(ENOENT)?;
            let is_folder = state.folder(ino).is_ok();
            match state.at(&to) {
                Some(there) if there == ino => return Ok(()),
                Some(there) if state.folder(there).is_ok() => return Err(EISDIR),
                Some(_) if is_folder => return Err(ENOTDIR),
                // The store never moves a folder; one that went below itself would be lost.
                _ if is_folder && from.0 != to.0 => return Err(EINVAL),
                _ => {}
            }
            state.change_names(names::Change::Rename { from, to, ino });
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let linked = self.act(Op::Link, "link", to, |state| {
            state.check_writable()?;
            let (from, at) = (state.slot(from)?, state.slot(to)?);
            let ino = state.at(&from).ok_or(ENOENT)?;
            state.file(ino)?;
            if state.at(&at).is_some() {
                return Err(EEXIST);
            }
            state.change_names(names::Change::Link { at, ino });
            Ok(())
        });
        // As the real one does: what may be copied instead is told apart, and what is missing is named.
        linked.map_err(|error| {
            let errno = std::error::Error::source(&error)
                .and_then(|cause| cause.downcast_ref::<io::Error>())
                .and_then(io::Error::raw_os_error);
            match errno {
                Some(EXDEV) => error.as_kind(ErrorKind::Unsupported),
                Some(ENOENT) => error.at(from),
                _ => error,
            }
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.act(Op::Remove, "remove", path, |state| {
            state.check_writable()?;
            let at = state.slot(path)?;
            let ino = state.at(&at).ok_or(ENOENT)?;
            state.file(ino)?;
            state.change_names(names::Change::Unlink { at });
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.act(Op::Remove, "remove folder", path, |state| {
            state.check_writable()?;
            let at = state.slot(path)?;
            let ino = state.at(&at).ok_or(ENOENT)?;
            if !state.folder(ino)?.live.is_empty() {
                return Err(ENOTEMPTY);
            }
            state.change_names(names::Change::Unlink { at });
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.act(Op::CreateDir, "create folder", path, |state| {
            let mut folders: Vec<&Path> = path.ancestors().collect();
            folders.reverse();
            for folder in folders {
                match state.find(folder) {
                    Ok(ino) => {
                        state.folder(ino)?;
                    }
                    Err(ENOENT) => {
                        state.check_writable()?;
                        let at = state.slot(folder)?;
                        state.create(at, Node::Folder(Folder::default()));
                    }
                    Err(errno) => return Err(errno),
                }
            }
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.act(Op::List, "list folder", path, |state| {
            let folder = state.folder(state.find(path)?)?;
            Ok(folder.live.keys().map(|name| name.to_string()).collect())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.act(Op::Exists, "look up", path, |state| match state.find(path) {
            Ok(_) => Ok(true),
            Err(ENOENT | ENOTDIR) => Ok(false),
            Err(errno) => Err(errno),
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let fault = self.call(Op::SyncDir, path, 0, 0);
        let mut state = self.lock();
        let result = state.find(path).and_then(|folder| {
            state.folder(folder)?;
            match fault {
                None => state.sync_folder(folder),
                Some(Fault::SyncFails) => state.sync_folder_failed(folder),
                Some(_) => {}
            }
            fault.map_or(Ok(()), |fault| Err(fault.errno()))
        });
        result.map_err(|errno| Error::io("sync folder", path, io::Error::from_raw_os_error(errno)))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn VfsLock>>> {
        self.act(Op::Lock, "open lock", path, |state| {
            state.check_writable()?;
            let at = state.slot(path)?;
            let ino = state.at(&at).unwrap_or_else(|| state.create(at, Node::File(Arc::default())));
            state.file(ino)?;
            let lock = SimLock::take(self, state, ino, path);
            Ok(lock.map(|lock| Box::new(lock) as Box<dyn VfsLock>))
        })
    }

    fn boot_id(&self) -> Option<u128> {
        Some(self.lock().boot_id)
    }
}

fn open(sim: &SimVfs, state: &mut State, path: &Path, mode: OpenMode) -> Result<SimFile, Errno> {
    if mode != OpenMode::Read {
        state.check_writable()?;
    }
    let at = state.slot(path)?;
    let ino = match state.at(&at) {
        Some(ino) => ino,
        None if mode == OpenMode::Create => state.create(at, Node::File(Arc::default())),
        None => return Err(ENOENT),
    };
    if mode == OpenMode::Create && state.file(ino)?.cache.len() > 0 {
        assert!(!state.mapped.contains(&ino), "{} was emptied while mapped", path.display());
        state.change_file(ino, Change::SetLen(0))?;
    }
    state.file(ino)?;
    Ok(SimFile::new(sim, state, ino, path, mode != OpenMode::Read))
}
