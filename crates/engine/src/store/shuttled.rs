//! Readers beside commits, freezes, flushes and merges, under shuttle's schedules.
//!
//! The way in which readers come by their snapshot is the store's own, compiled a second time; what they read is a model of memtables
//! and segments that changes as the store's do: under the head's lock, the memtable first, then `visible`.

#![allow(clippy::duplicate_mod)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::SeqNo;
use codegraph_vector_testkit::scheduled::{Mutex, explore, thread};

mod sync {
    pub(super) use codegraph_vector_testkit::scheduled::{ArcSwap, AtomicU64};
}

#[path = "read_point.rs"]
mod read_point;

use read_point::{Floor, read_point};
use sync::{ArcSwap, AtomicU64};

const SCHEDULES: usize = 200;
/// More than one schedule in a hundred shows what is wrong.
const SCHEDULES_OF_MISTAKES: usize = 5_000;
const COMMITS: u64 = 4;
const ALIVE: u64 = u64::MAX;

/// A state of the one node there is: commit `n` writes number `n`, and the one before dies by it.
#[derive(Clone, Copy, Debug)]
struct Row {
    born: u64,
    death: u64,
}

/// A memtable or segment.
#[derive(Default)]
struct Rows(std::sync::Mutex<Vec<Row>>);

impl Rows {
    fn put(&self, row: Row) {
        self.0.lock().unwrap().push(row);
    }

    fn kill(&self, born: u64, death: u64) {
        self.0.lock().unwrap().iter_mut().filter(|row| row.born == born).for_each(|row| row.death = death);
    }

    fn where_(&self, is_so: impl Fn(&Row) -> bool) -> Vec<Row> {
        self.0.lock().unwrap().iter().copied().filter(is_so).collect()
    }

    /// Rows that live at `seqno`, to be written anew.
    fn live_at(&self, seqno: u64) -> impl Iterator<Item = Row> {
        let live = self.where_(|row| row.born <= seqno && seqno < row.death);
        live.into_iter().map(|row| Row { death: ALIVE, ..row })
    }

    /// Carries over the deaths that came after `seqno`.
    fn carry_over(&self, seqno: u64, to: &Rows) {
        let died = self.where_(|row| row.death > seqno && row.death != ALIVE);
        died.iter().for_each(|row| to.kill(row.born, row.death));
    }
}

#[derive(Clone)]
struct Version {
    memtable: Arc<Rows>,
    /// With their cuts.
    frozen: Vec<(Arc<Rows>, u64)>,
    segments: Vec<Arc<Rows>>,
    floor: u64,
}

impl Floor for Version {
    fn floor(&self) -> SeqNo {
        SeqNo(self.floor)
    }
}

impl Version {
    fn tables(&self) -> impl Iterator<Item = &Arc<Rows>> {
        let frozen = self.frozen.iter().map(|(table, _)| table);
        std::iter::once(&self.memtable).chain(frozen).chain(&self.segments)
    }
}

struct Model {
    version: ArcSwap<Version>,
    visible: AtomicU64,
    /// The last commit that was applied.
    head: Mutex<u64>,
}

type ReadPoint = fn(&ArcSwap<Version>, &AtomicU64) -> (Arc<Version>, SeqNo);

impl Model {
    fn new() -> Arc<Self> {
        let version =
            Version { memtable: Arc::default(), frozen: Vec::new(), segments: Vec::new(), floor: 0 };
        let (version, visible) = (ArcSwap::from_pointee(version), AtomicU64::new(0));
        Arc::new(Self { version, visible, head: Mutex::new(0) })
    }

    fn commit(&self) {
        let mut head = self.head.lock();
        let version = self.version.load_full();
        let seqno = *head + 1;
        version.memtable.put(Row { born: seqno, death: ALIVE });
        thread::yield_now();
        version.tables().for_each(|table| table.kill(seqno - 1, seqno));
        *head = seqno;
        self.visible.store(seqno, Ordering::Release);
    }

    fn freeze(&self) {
        let head = self.head.lock();
        let mut next = Version::clone(&self.version.load());
        next.frozen.push((std::mem::take(&mut next.memtable), *head));
        self.version.store(Arc::new(next));
    }

    fn flush(&self) {
        let Some((table, cut)) = self.version.load().frozen.first().cloned() else { return };
        let segment = Arc::new(Rows::default());
        table.live_at(cut).for_each(|row| segment.put(row));
        thread::yield_now();
        let _apply_waits = self.head.lock();
        table.carry_over(cut, &segment);
        let mut next = Version::clone(&self.version.load());
        next.frozen.remove(0);
        next.segments.push(segment);
        next.floor = next.floor.max(cut);
        self.version.store(Arc::new(next));
    }

    fn merge(&self) {
        let base = self.visible.load(Ordering::Acquire);
        let sources = self.version.load().segments.clone();
        let segment = Arc::new(Rows::default());
        sources.iter().flat_map(|source| source.live_at(base)).for_each(|row| segment.put(row));
        thread::yield_now();
        let _apply_waits = self.head.lock();
        sources.iter().for_each(|source| source.carry_over(base, &segment));
        let mut next = Version::clone(&self.version.load());
        next.segments = vec![segment];
        next.floor = next.floor.max(base);
        self.version.store(Arc::new(next));
    }

    /// Reads the node, and fails if it is not as the SeqNo says.
    fn read(&self, read_point: ReadPoint) -> u64 {
        let (version, SeqNo(seqno)) = read_point(&self.version, &self.visible);
        let mut found = Vec::new();
        for table in version.tables() {
            found.extend(table.where_(|row| row.born <= seqno && seqno < row.death));
            thread::yield_now();
        }
        let found: Vec<u64> = found.iter().map(|row| row.born).collect();
        assert_eq!(found, if seqno == 0 { vec![] } else { vec![seqno] }, "read at {seqno}");
        seqno
    }
}

fn run(schedules: usize, read_point: ReadPoint) {
    explore(schedules, move || {
        let model = Model::new();
        let spawn = |work: fn(&Model)| {
            let model = model.clone();
            thread::spawn(move || work(&model))
        };
        let mut threads = vec![spawn(|model| (0..COMMITS).for_each(|_| model.commit()))];
        threads.push(spawn(|model| {
            for _ in 0..2 {
                model.freeze();
                model.flush();
            }
            model.merge();
        }));
        for _ in 0..2 {
            let model = model.clone();
            threads.push(thread::spawn(move || {
                let [first, second] = [(); 2].map(|()| model.read(read_point));
                assert!(first <= second, "what was seen stays seen");
            }));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(model.read(read_point), COMMITS);
    });
}

#[test]
fn a_version_and_its_seqno_fit_each_other() {
    run(SCHEDULES, read_point);
}

#[test]
#[should_panic(expected = "read at")]
fn a_seqno_that_is_read_before_the_version_is_noticed() {
    run(SCHEDULES_OF_MISTAKES, |version, visible| {
        let seqno = SeqNo(visible.load(Ordering::Acquire));
        (version.load_full(), seqno)
    });
}

#[test]
#[should_panic(expected = "read at")]
fn a_version_that_changed_before_the_seqno_was_read_is_noticed() {
    run(SCHEDULES_OF_MISTAKES, |version, visible| {
        let pinned = version.load_full();
        let seqno = SeqNo(visible.load(Ordering::Acquire)).max(pinned.floor());
        (pinned, seqno)
    });
}
