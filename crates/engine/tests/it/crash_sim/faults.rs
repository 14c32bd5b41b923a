//! Which calls fail, and how.
//!
//! Guards against: a failed call that is taken for a success, a full disk that is taken for a broken
//! one, and what a failure leaves behind.

use codegraph_vector_testkit::{Call, Fault, Op, Rng};

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Faults still to come.
    pub left: usize,
    /// No faults for now.
    pub paused: bool,
    /// What failed during the present step.
    pub now: Vec<(Op, String, Fault)>,
    note_lost: bool,
    names_lost: bool,
    /// What failed in all, for messages.
    pub all: Vec<(u64, Op, Fault)>,
    /// Whether anything has failed since the store was opened.
    since_open: bool,
}

impl Plan {
    /// Of a run: most have none.
    pub fn new(rng: &mut Rng) -> Self {
        let left = if rng.chance(0.35) { rng.between(1, 5) } else { 0 };
        Self { left, ..Self::default() }
    }

    /// Whether anything has failed since the store was opened.
    pub fn happened(&self) -> bool {
        self.since_open
    }

    /// Whether anything has failed since then, or may fail.
    pub fn any(&self) -> bool {
        self.since_open || self.left > 0
    }

    /// Whether a note for readers elsewhere could not be written, so that they may lag.
    pub fn note_lost(&self) -> bool {
        self.note_lost
    }

    /// Whether names show that no sync will ever make durable.
    pub fn names_lost(&self) -> bool {
        self.names_lost
    }

    /// The power was off.
    pub fn restarted(&mut self) {
        self.names_lost = false;
    }

    /// The store was opened.
    pub fn opened(&mut self) {
        self.since_open = false;
    }

    /// Whether this call fails, and how.
    pub fn choose(&mut self, rng: &mut Rng, call: &Call, opening: bool) -> Option<Fault> {
        if self.left == 0 || self.paused || !rng.chance(0.03) {
            return None;
        }
        // The names that a failed sync of a folder lost still show until the power goes off, to the next
        // process too, which cannot know. (A real file system stops at such a fault.) So a store that
        // met it is opened again after a power cut only, and opening, which is tried again, does not meet it.
        let fault = if opening && call.op == Op::SyncDir { Fault::Eio } else { fault(rng, call) };
        self.names_lost |= (call.op, fault) == (Op::SyncDir, Fault::SyncFails);
        self.left -= 1;
        self.since_open = true;
        self.note_lost |= call.path.ends_with("LOCK");
        self.all.push((call.index, call.op, fault));
        self.now.push((call.op, call.path.to_string_lossy().into_owned(), fault));
        Some(fault)
    }

    /// Whether the only fault of this step is of such a kind, on a file whose path has this end.
    pub fn only(&self, end: &str, kind: impl Fn(Op, Fault) -> bool) -> bool {
        matches!(&self.now[..], [(op, path, fault)] if path.ends_with(end) && kind(*op, *fault))
    }
}

fn fault(rng: &mut Rng, call: &Call) -> Fault {
    let len = call.len as usize;
    match call.op {
        Op::Write => *rng.pick(&[
            Fault::Enospc,
            Fault::EnospcAfter(rng.clone().below(len + 1)),
            Fault::TornWrite(rng.clone().below(len + 1)),
            Fault::Eio,
        ]),
        Op::Allocate => {
            *rng.pick(&[Fault::Enospc, Fault::EnospcAfter(rng.clone().below(len + 1)), Fault::Eio])
        }
        Op::SyncData | Op::SyncAll | Op::SyncDir => {
            *rng.pick(&[Fault::SyncFails, Fault::SyncFails, Fault::Eio])
        }
        _ => *rng.pick(&[Fault::Eio, Fault::Enospc]),
    }
}
