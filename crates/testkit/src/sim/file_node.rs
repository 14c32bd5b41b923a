//! A file without its names: what reads see, what the disk has, and what is on the way there.

use std::sync::Arc;

use super::content::Content;
use crate::Rng;

/// A change that no sync has covered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Place in the order of all changes to the file system.
    pub(super) seq: u64,
    pub(super) change: Change,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    Allocate { offset: u64, len: u64 },
    SetLen(u64),
}

impl Change {
    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(bytes, *offset),
            Change::Allocate { offset, len } => content.allocate(*offset, *len),
            Change::SetLen(len) => content.set_len(*len),
        }
    }

    /// What a power cut in the middle of it leaves.
    pub(super) fn apply_torn(&self, content: &mut Content, rng: &mut Rng) {
        match self {
            Change::Write { offset, bytes } => write_torn(content, *offset, bytes, rng),
            Change::Allocate { offset, len } => {
                content.allocate(*offset, rng.below(*len as usize + 1) as u64)
            }
            Change::SetLen(_) if rng.chance(0.5) => self.apply(content),
            Change::SetLen(_) => {}
        }
    }
}

/// A prefix, a suffix, a middle or some sectors of `bytes`; sometimes the length beyond them.
fn write_torn(content: &mut Content, offset: u64, bytes: &[u8], rng: &mut Rng) {
    const SECTOR: usize = 512;
    let (one, other) = (rng.below(bytes.len() + 1), rng.below(bytes.len() + 1));
    let mut put = |from: usize, to: usize| content.write(&bytes[from..to], offset + from as u64);
    match rng.below(4) {
        0 => put(0, one),
        1 => put(one, bytes.len()),
        2 => put(one.min(other), one.max(other)),
        _ => {
            let mut from = 0;
            while from < bytes.len() {
                let to = bytes.len().min(from + SECTOR - (offset as usize + from) % SECTOR);
                if rng.chance(0.5) {
                    put(from, to);
                }
                from = to;
            }
        }
    }
    if rng.chance(0.25) {
        content.extend_to(offset + bytes.len() as u64);
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    /// What reads see.
    pub(super) cache: Content,
    /// What a power cut leaves if nothing pending reached the disk.
    pub(super) durable: Content,
    pub(super) pending: Vec<Pending>,
    /// A sync failed: `cache` is no longer `durable` with `pending` on top.
    diverged: bool,
}

impl FileNode {
    /// A file all of which is durable.
    pub(super) fn durable(content: Content) -> Self {
        Self { cache: content.clone(), durable: content, pending: Vec::new(), diverged: false }
    }

    /// Whether a power cut would change nothing.
    pub(super) fn is_clean(&self) -> bool {
        self.pending.is_empty() && !self.diverged
    }

    pub(super) fn change(&mut self, seq: u64, change: Change) {
        change.apply(&mut self.cache);
        self.pending.push(Pending { seq, change });
    }

    /// What the disk has once all that is pending is there.
    pub(super) fn synced(&self) -> Content {
        if !self.diverged {
            return self.cache.clone();
        }
        let mut content = self.durable.clone();
        self.pending.iter().for_each(|pending| pending.change.apply(&mut content));
        content
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.synced();
        self.pending.clear();
    }

    /// A sync failed: some of it got through, the rest is forgotten.
    pub(super) fn sync_failed(&mut self, rng: &mut Rng) {
        self.diverged |= !self.pending.is_empty();
        self.durable = self.subset(rng);
        self.pending.clear();
    }

    /// The durable content with some of the pending changes, some torn, in some order.
    pub(super) fn subset(&self, rng: &mut Rng) -> Content {
        // Each file has luck of its own: all of one may be there and nothing of another.
        let (likely, torn) = (*rng.pick(&[0.0, 0.2, 0.5, 0.8, 1.0]), *rng.pick(&[0.0, 0.3, 1.0]));
        let mut chosen: Vec<&Change> = Vec::with_capacity(self.pending.len());
        chosen.extend(self.pending.iter().filter(|_| rng.chance(likely)).map(|pending| &pending.change));
        if rng.chance(0.5) {
            rng.shuffle(&mut chosen);
        }
        let mut content = self.durable.clone();
        for change in chosen {
            if rng.chance(torn) { change.apply_torn(&mut content, rng) } else { change.apply(&mut content) }
        }
        content
    }

    /// The durable content with the first of the pending changes, the next one torn: those before
    /// `cut` in the order of all changes, or a random number of them.
    pub(super) fn prefix(&self, cut: Option<u64>, rng: &mut Rng) -> Content {
        let whole = match cut {
            Some(cut) => self.pending.partition_point(|pending| pending.seq < cut),
            None => rng.below(self.pending.len() + 1),
        };
        let mut content = self.durable.clone();
        self.pending[..whole].iter().for_each(|pending| pending.change.apply(&mut content));
        // With a common cut, only one change of the whole file system was under way at it.
        if let Some(next) = self.pending.get(whole).filter(|next| cut.is_none_or(|cut| next.seq == cut)) {
            next.change.apply_torn(&mut content, rng);
        }
        content
    }

    /// Damages the medium: reads see it at once and it survives everything.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut Content)) {
        damage(&mut self.cache);
        damage(&mut self.durable);
    }
}
