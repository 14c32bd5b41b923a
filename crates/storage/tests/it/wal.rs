//! Tests of the log through its public face, on the simulated disk: the rules of durability, each
//! by a test that names it. Here, a log as an engine would drive one, whose records are numbers.

mod acknowledge;
mod cut;
mod faults;
mod golden;
mod layout;
mod random;
mod resume;
mod rotation;
mod waiting;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use codegraph_vector_base::frame::{Check, Seal};
use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Epoch, Error, ErrorKind, Lsn, Result, StoreId};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::wal::{
    Appender, Committed, Continuation, GroupEnd, Log, LogHooks, Scan, ScanRange, SyncPolicy, Ticket, resume,
    scan,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Rng, SimClock, SimVfs};

const STORE: StoreId = StoreId([7; 16]);
const KIND: u16 = 16;
/// No rotation.
const ENDLESS: u64 = u64::MAX;
/// Bytes before the frames of a file, of a group header, and of a frame's head.
const FILE_HEADER: u64 = 4096;
const GROUP_HEADER: u64 = 40;
const FRAME_HEADER: u64 = 16;

fn layout() -> StoreLayout {
    StoreLayout::new("/store")
}

fn folder() -> PathBuf {
    layout().wal_dir()
}

fn wal_path(first: u64) -> PathBuf {
    layout().wal_path(Lsn(first))
}

/// What the owner of a log does: it remembers.
#[derive(Debug)]
struct Owner {
    policy: SyncPolicy,
    /// Lets the next apply fail.
    stumbles: AtomicBool,
    applied: Mutex<Vec<u64>>,
    forgotten: Mutex<Vec<u64>>,
}

impl LogHooks<u64, u64> for Owner {
    fn sync_policy(&self) -> SyncPolicy {
        self.policy
    }

    fn committed(&self, entries: Vec<u64>, _: &[u8], _: GroupEnd) -> Result<()> {
        if self.stumbles.swap(false, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Corrupt, "stumbled"));
        }
        self.applied.lock().expect("unpoisoned").extend(entries);
        Ok(())
    }

    fn failed(&self, next: &mut u64, entries: Vec<u64>) {
        *next = entries.iter().copied().min().unwrap_or(*next).min(*next);
        self.forgotten.lock().expect("unpoisoned").extend(entries);
    }
}

/// A log of the numbers 0, 1, 2 …
struct Numbers {
    log: Log<u64, u64>,
    owner: Owner,
}

impl Numbers {
    fn new(appender: Appender, next: u64, policy: SyncPolicy) -> Self {
        let owner = Owner {
            policy,
            stumbles: AtomicBool::new(false),
            applied: Mutex::new(Vec::new()),
            forgotten: Mutex::new(Vec::new()),
        };
        Self { log: Log::new(appender, next, Arc::new(SimClock::default())), owner }
    }

    /// A new log under the policy `Sync`.
    fn create(vfs: &SimVfs, max_file_bytes: u64) -> Self {
        Self::new(create(vfs, max_file_bytes), 0, SyncPolicy::Sync)
    }

    /// Queues the next number, with `len` bytes behind it.
    fn queue(&self, len: usize) -> Result<Arc<Ticket>> {
        let (ticket, ()) = self.log.enqueue(|next, group| {
            let number = *next;
            group.append(KIND, &[&number.to_le_bytes(), &vec![number as u8; len]]);
            *next += 1;
            Ok((number, ()))
        })?;
        Ok(ticket)
    }

    fn wait(&self, ticket: &Arc<Ticket>) -> Result<Committed> {
        self.log.wait(ticket, &self.owner)
    }

    fn put(&self, len: usize) -> Result<Committed> {
        let ticket = self.queue(len)?;
        self.wait(&ticket)
    }

    fn end(&self) -> Lsn {
        self.log.appender(Appender::end)
    }

    fn applied(&self) -> Vec<u64> {
        self.owner.applied.lock().expect("unpoisoned").clone()
    }

    fn forgotten(&self) -> Vec<u64> {
        self.owner.forgotten.lock().expect("unpoisoned").clone()
    }
}

fn seal(epoch: u32) -> Seal {
    Seal { store: STORE, epoch: Epoch(epoch) }
}

fn create(vfs: &SimVfs, max_file_bytes: u64) -> Appender {
    layout().create_dirs(vfs).expect("folders");
    Appender::create(Arc::new(vfs.clone()), folder(), seal(1), max_file_bytes).expect("created")
}

/// A log of `groups` synced groups of one number each, `len` bytes behind it; where each began, and the end.
fn written(groups: usize, len: usize, max_file_bytes: u64) -> (SimVfs, Vec<Lsn>) {
    let sim = SimVfs::new(1);
    let numbers = Numbers::create(&sim, max_file_bytes);
    let mut starts = vec![Lsn(0)];
    for _ in 0..groups {
        numbers.put(len).expect("acknowledged");
        starts.push(numbers.end());
    }
    (sim, starts)
}

fn all() -> ScanRange {
    ScanRange { from: Lsn(0), proven: Lsn(0), limit: Lsn(u64::MAX), check: Check::Verify }
}

/// The numbers in the log, which must be 0, 1, 2 … with the bytes that belong to them, and the scan.
fn read_range(vfs: &dyn Vfs, range: ScanRange) -> Result<(Vec<u64>, Scan)> {
    let mut found = Vec::new();
    let scan = scan(vfs, &folder(), STORE, range, &mut |record| {
        let (number, rest) = record.payload.split_first_chunk::<8>().expect("a number");
        let number = u64::from_le_bytes(*number);
        assert!(
            record.kind == KIND && rest.iter().all(|byte| *byte == number as u8),
            "another's bytes: {record:?}"
        );
        found.push(number);
        Ok(())
    })?;
    Ok((found, scan))
}

fn read(vfs: &dyn Vfs) -> (Vec<u64>, Scan) {
    let (found, scan) = read_range(vfs, all()).expect("a sound log");
    assert!(found.iter().copied().eq(0..found.len() as u64), "not a prefix: {found:?}");
    (found, scan)
}

/// How a log goes on whose close nothing is known of.
fn unclean() -> Continuation {
    Continuation { clean_close: None, epoch: Epoch(0), max_file_bytes: ENDLESS, rewrite_tail: true }
}

/// Reads the log and goes on behind it.
fn reopened(vfs: &SimVfs, how: Continuation, policy: SyncPolicy) -> (Numbers, Vec<u64>) {
    let (found, scan) = read(vfs);
    let appender = resume(Arc::new(vfs.clone()), &folder(), scan, how).expect("resumed");
    (Numbers::new(appender, found.len() as u64, policy), found)
}

/// Lets calls that `fits` says fail; it is asked once for each.
fn fail_calls(sim: &SimVfs, fits: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        fits(call).map_or(Action::Proceed, Action::Fail)
    }));
}

/// What a power cut now can leave, several times over.
fn crashes(sim: &SimVfs) -> impl Iterator<Item = SimVfs> {
    (0..40).map(|seed| {
        let mut rng = Rng::new(seed);
        let style = CrashStyle::random(&mut rng);
        sim.crash(&mut rng, style)
    })
}

fn files(vfs: &SimVfs) -> Vec<u64> {
    let files = codegraph_vector_storage::wal::wal_files(vfs, &folder()).expect("listed");
    files.iter().map(|lsn| lsn.0).collect()
}

/// Small log files as they may lie on a disk: new, with groups, with an unsynced end that has a hole, rewritten.
pub(crate) fn sample_files() -> Vec<Vec<u8>> {
    let cut = |sim: &SimVfs, bytes: usize| {
        let mut file = sim.read_all(wal_path(0)).expect("there");
        file.truncate(bytes);
        file
    };
    let (empty, _) = written(0, 0, ENDLESS);
    let (some, starts) = written(3, 40, ENDLESS);
    let unsynced = SimVfs::new(1);
    let numbers = Numbers::new(create(&unsynced, ENDLESS), 0, SyncPolicy::WriteOnly);
    (0..3).for_each(|_| assert!(numbers.put(40).is_ok()));
    let end = (FILE_HEADER + starts[3].0) as usize;
    let mut holey = cut(&unsynced, end);
    holey[FILE_HEADER as usize + starts[1].0 as usize + 60] ^= 1;
    let rewritten = unsynced.kill();
    reopened(&rewritten, unclean(), SyncPolicy::Sync).0.put(9).expect("acknowledged");
    vec![cut(&empty, 4200), cut(&some, end), cut(&unsynced, end + 64), holey, cut(&rewritten, end + 200)]
}
