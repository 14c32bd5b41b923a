//! Keeping a store up to date with a folder while it is edited.
//!
//! The system tells of each change ([`ears`]); what it told is gathered until it is quiet ([`pending`]), and then just
//! that is indexed, as any run indexes. What always holds: a change that is told of while a round is under way belongs
//! to the next one; where it is not known what changed, everything is looked at.

mod ears;
mod pending;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::{Clock, Error, ErrorKind, PersistentVectorStore, Result};
use codegraph_vector_base::SystemClock;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use parking_lot::Mutex;

use self::ears::Ears;
use self::pending::{Change, Pending};
use crate::embed::Embedder;
use crate::index::{self, IndexOptions, IndexProgress, IndexSummary, Job, What};
use crate::root;
use crate::stop::Stop;

/// Time between a round that failed and the next one; doubled each time, up to the most.
const RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(60);

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// How far the round under way is.
    Progress(IndexProgress),
    /// The store was brought up to date, durably. Rounds after the first that found nothing to do are not told.
    Round(WatchRound),
    /// A round failed; whole files only are stored. The next one, in so much time, looks at everything.
    Failed {
        /// Why.
        error: Error,
        /// Time until the next one.
        again_in: Duration,
    },
}

/// What a round did.
#[derive(Clone, Debug)]
pub struct WatchRound {
    /// The files and folders, by their paths below the root, that were told to have changed, and that were looked at.
    /// `None` if that was everything.
    pub paths: Option<Vec<String>>,
    /// What was done about them.
    pub summary: IndexSummary,
}

/// What was told, and a word to whoever waits for it.
pub(crate) struct Inbox {
    clock: SystemClock,
    pending: Mutex<Pending>,
    word: Sender<()>,
}

impl Inbox {
    fn new() -> (Arc<Self>, Receiver<()>) {
        let (word, words) = bounded(1);
        (Arc::new(Self { clock: SystemClock::new(), pending: Mutex::default(), word }), words)
    }

    fn note(&self, change: Change) {
        self.pending.lock().note(change, self.clock.monotonic());
        // One that is there already will do.
        let _ = self.word.try_send(());
    }
}

/// Indexes a folder, and then what changes in it, until [`IndexOptions::stop`] is said: a change is indexed once nothing
/// else was told for 300 ms, and after 2 s at the latest. What was stored by then is durable. Readers of the store are not
/// kept from it; other writers in other processes are.
///
/// A change of a `.gitignore` or `.ignore` in the folder, more changes than are kept apart, and word from the system that
/// it lost some, have everything looked at, by size and time. `told` is called from one thread at a time.
///
/// # Errors
/// What the first round fails with, see [`index`](crate::index()); later, what no other try mends: a store that takes no
/// writes any more, a folder that is gone. `TooLarge` if the system does not watch so many folders.
pub fn watch(
    store: &PersistentVectorStore,
    root: &Path,
    embedder: &dyn Embedder,
    options: &IndexOptions,
    told: &mut (dyn FnMut(WatchEvent) + Send),
) -> Result<()> {
    let root = root::open_root(root)?;
    let (inbox, words) = Inbox::new();
    // Before the first look, so that nothing goes unseen between the two.
    let ears = Ears::open(&root, store.path(), inbox.clone())?;
    let round = Round { store, root: &root, embedder, options, ears: &ears };
    let mut delay = RETRY;
    let mut not_before = Duration::ZERO;
    let mut retried = BTreeSet::new();
    let mut change = Some(What::Folder);
    let mut is_first = true;
    while let Some(what) = change {
        match round.run(&what, is_first, told) {
            Ok(unsettled) => {
                // What could not be read is tried once more; after that whoever changes it is waited for.
                unsettled.difference(&retried).for_each(|path| inbox.note(Change::Path(path.clone())));
                retried = unsettled;
                delay = RETRY;
            }
            Err(error) if options.stop.is_stopped() && error.kind() == ErrorKind::Closed => break,
            Err(error) if is_first || is_final(&error, &root) => return Err(error),
            Err(error) => {
                told(WatchEvent::Failed { error, again_in: delay });
                inbox.note(Change::Everything);
                not_before = inbox.clock.monotonic() + delay;
                delay = (delay * 2).min(MOST_RETRY);
            }
        }
        ears.check()?;
        is_first = false;
        change = next(&inbox, &words, &options.stop, not_before);
    }
    Ok(())
}

/// Waits for something to do. `None` once it is to end.
fn next(inbox: &Inbox, words: &Receiver<()>, stop: &Stop, not_before: Duration) -> Option<What<'static>> {
    loop {
        let now = inbox.clock.monotonic();
        let due = inbox.pending.lock().due().map(|due| due.max(not_before));
        let timer = match due.map(|due| due.saturating_sub(now)) {
            None => never(),
            Some(Duration::ZERO) if !stop.is_stopped() => {
                let paths = inbox.pending.lock().take();
                return Some(paths.map_or(What::Folder, |paths| What::Paths(Arc::new(paths))));
            }
            Some(wait) => after(wait),
        };
        select! {
            recv(stop.said()) -> _ => return None,
            recv(words) -> _ => {}
            recv(timer) -> _ => {}
        }
    }
}

/// Whether another try fails as well.
fn is_final(error: &Error, root: &Path) -> bool {
    let of_store = [ErrorKind::ReadOnly, ErrorKind::OutcomeUnknown, ErrorKind::Corrupt, ErrorKind::Closed];
    of_store.contains(&error.kind()) || !root.is_dir()
}

/// What all rounds have in common.
struct Round<'a> {
    store: &'a PersistentVectorStore,
    root: &'a Path,
    embedder: &'a dyn Embedder,
    options: &'a IndexOptions,
    ears: &'a Ears,
}

impl Round<'_> {
    /// Indexes what is said, and tells; gives the files that should be looked at again.
    fn run(
        &self,
        what: &What<'_>,
        is_first: bool,
        told: &mut (dyn FnMut(WatchEvent) + Send),
    ) -> Result<BTreeSet<String>> {
        let job = Job {
            what: what.clone(),
            entering: self.ears.entering(),
            ..Job::of_folder(self.store, self.root, self.embedder, self.options)
        };
        let outcome = index::run(&job, &mut |progress| told(WatchEvent::Progress(progress)))?;
        let paths = match what {
            What::Paths(paths) => Some(paths.iter().map(str::to_owned).collect()),
            What::Folder | What::Commit(_) => None,
        };
        let summary = outcome.summary;
        let idle = summary.files_indexed + summary.files_removed == 0 && summary.problems.is_empty();
        if is_first || !idle {
            told(WatchEvent::Round(WatchRound { paths, summary }));
        }
        Ok(outcome.unsettled)
    }
}
