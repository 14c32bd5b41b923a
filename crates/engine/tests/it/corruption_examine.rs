//! One damaged store, examined: what it answers, what it admits, and what memory that took.

use std::path::PathBuf;

use codegraph_vector::{Error, ErrorKind, Match, NodeId, PersistentVectorStore, Result};
use codegraph_vector_testkit::SimVfs;

use crate::sample::{Answer, open_read_only, open_undamaged, reads, reopen};

/// Opening may hold this much more than the bytes of the store's files: caches, block states, a memtable's first
/// chunks, whatever the files say.
const SLACK_BYTES: u64 = 2 << 20;

/// What a sound store answers to [`reads`] for these ids.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) answers: Vec<Answer>,
    pub(crate) ids: Vec<NodeId>,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// These bits of a byte are turned.
    Flip { at: u64, mask: u8 },
    /// It ends here.
    Cut { len: u64 },
}

/// One damage, and how the store is opened after it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) path: PathBuf,
    pub(crate) change: Change,
    pub(crate) read_only: bool,
    /// Whether a segment that cannot be opened is an error.
    pub(crate) refuse: bool,
}

impl Case {
    /// Does it.
    pub(crate) fn damage(&self, sim: &SimVfs) {
        match self.change {
            Change::Cut { len } => sim.truncate_durable(&self.path, len),
            Change::Flip { at, mask } => {
                (0..8).filter(|bit| mask & 1 << bit != 0).for_each(|bit| sim.flip_bit(&self.path, at, bit));
            }
        }
    }

    fn is_of(&self, part: &str) -> bool {
        self.path.to_string_lossy().contains(part)
    }

    /// Whether the damage took away nothing but zeros ahead of the log.
    fn spares_the_log(&self, original: &[u8]) -> bool {
        let used = original.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        self.is_of(".wal")
            && match self.change {
                Change::Cut { len } => len >= used,
                Change::Flip { at, .. } => at >= used,
            }
    }
}

/// An error of damage says so, and where.
fn check_error(case: &Case, error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{case:?}: {error}");
    assert!(error.offset().is_some(), "{case:?}: {error}");
    assert_eq!(error.path(), Some(&*case.path), "{case:?}: {error}");
}

/// Opens, and holds the memory that it takes against what is there.
fn open_measured(sim: &SimVfs, case: &Case) -> Result<PersistentVectorStore> {
    let bytes: u64 =
        sim.paths().iter().map(|path| sim.read_all(path).map_or(0, |bytes| bytes.len() as u64)).sum();
    let mut opened = None;
    let memory = allocation_counter::measure(|| {
        opened = Some(match (case.refuse, case.read_only) {
            (true, read_only) => open_undamaged(sim, read_only),
            (false, true) => open_read_only(sim),
            (false, false) => reopen(sim),
        });
    });
    assert!(memory.bytes_max < 2 * bytes + SLACK_BYTES, "{case:?}: {memory:?} for {bytes} bytes");
    opened.unwrap()
}

/// The truths that no answer contradicts; errors are checked.
fn fitting<'a>(case: &Case, truths: &'a [Truth], answers: &[Result<Answer>]) -> Vec<&'a Truth> {
    answers.iter().filter_map(|answer| answer.as_ref().err()).for_each(|error| check_error(case, error));
    let fits = |truth: &&Truth| {
        let mut pairs = answers.iter().zip(&truth.answers);
        pairs.all(|(answer, expected)| {
            answer.as_ref().map_or(true, |answer| answer == expected || is_part(answer, truth))
        })
    };
    truths.iter().filter(fits).collect()
}

/// Whether this is what is left of what a search finds, each with the score that it has.
fn is_part(answer: &Answer, truth: &Truth) -> bool {
    let Answer::Degraded(left) = answer else { return false };
    let is_match = |found: &Match| {
        truth.answers.iter().any(|answer| matches!(answer, Answer::Found(all) if all.contains(found)))
    };
    left.iter().all(is_match)
}

fn is_whole(answer: &Result<Answer>) -> bool {
    !matches!(answer, Err(_) | Ok(Answer::Degraded(_)))
}

/// Damages a copy of the store, opens and reads it. The first of `truths` is what the store held; a second one is
/// what it holds without the last group of its log, if a power cut may have taken that.
pub(crate) fn examine(sim: &SimVfs, truths: &[Truth], case: &Case) {
    let original = sim.read_all(&case.path).unwrap();
    let sim = sim.kill();
    case.damage(&sim);
    let store = match open_measured(&sim, case) {
        Ok(store) => store,
        Err(error) => return check_error(case, &error),
    };
    let answers = reads(&store, &truths[0].ids);
    let fitting = fitting(case, truths, &answers);
    if fitting.is_empty() && case.read_only && case.is_of("/LOCK") {
        // Without the writer's note a reader falls back to what the files prove, which is older.
        let report = store.verify().unwrap();
        assert!(report.is_clean() && answers.iter().all(is_whole), "{case:?}: {report:?}");
        return;
    }
    let recovery = store.recovery_report();
    let cut_here = recovery.cut.as_ref().is_some_and(|cut| cut.path == case.path);
    let whole = fitting.iter().any(|truth| std::ptr::eq(*truth, &truths[0]));
    let lost_unsynced = !whole && !fitting.is_empty();
    assert!(whole || lost_unsynced, "{case:?}: wrong answers: {:?}", wrong(&answers, &truths[0]));
    if lost_unsynced {
        // A reader beside a killed writer shows no more than what was synced, damaged or not.
        let hidden = case.read_only;
        let at_the_end = matches!(case.change, Change::Cut { .. });
        assert!(case.is_of(".wal") || hidden, "{case:?}: the last group was lost");
        assert!(cut_here || hidden || at_the_end, "{case:?}: a cut was not reported: {recovery:?}");
    }
    let report = store.verify().unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let verified = report.bad_blocks.iter().any(|bad| bad.path == case.path);
    for bad in store.quarantined() {
        assert_eq!(bad.path, case.path, "{case:?}: {bad:?}");
        assert!(bad.is_open || !case.refuse, "{case:?}: {bad:?}");
    }
    if !answers.iter().all(is_whole) {
        assert!(verified, "{case:?}: a read failed, but verify found nothing: {report:?}");
    }
    let told =
        recovery.fallbacks.iter().chain(&recovery.damaged_manifests).any(|(path, _)| *path == case.path);
    let carries_nothing = case.is_of("/LOCK") || case.spares_the_log(&original);
    assert!(
        verified || told || cut_here || carries_nothing || lost_unsynced,
        "{case:?}: nobody noticed: {recovery:?} {report:?}"
    );
    if report.bad_blocks.iter().any(|bad| bad.path != case.path) {
        panic!("{case:?}: verify blames another file: {report:?}");
    }
}

fn wrong<'a>(answers: &'a [Result<Answer>], truth: &Truth) -> Vec<&'a Result<Answer>> {
    let differs = |(answer, expected): &(&Result<Answer>, &Answer)| {
        answer.as_ref().is_ok_and(|a| a != *expected && !is_part(a, truth))
    };
    answers.iter().zip(&truth.answers).filter(differs).map(|(answer, _)| answer).take(2).collect()
}
