//! Somebody who follows the changes of the store, through crashes, kills and restarts.
//!
//! Guards against: changes that show before they are durable, that are missed, repeated, reordered or not whole; a stream
//! that waits for what a writer holds.

use std::collections::BTreeMap;

use codegraph_vector::{Changes, CodeNode, Cursor, ErrorKind, NodeId, PersistentVectorStore, SeqNo};

use super::model::{Check, Model, State};
use super::world::Inner;

/// A follower, which keeps its cursor when a process ends.
#[derive(Debug, Default)]
pub struct Follower {
    cursor: Cursor,
    stream: Option<Changes>,
}

fn nodes(state: &State) -> BTreeMap<NodeId, CodeNode> {
    state.rows.iter().map(|(id, row)| (*id, row.node.clone())).collect()
}

impl Follower {
    /// The process ends.
    pub fn leave(&mut self) {
        self.stream = None;
    }

    /// Goes on behind the cursor.
    fn begin(&mut self, store: &PersistentVectorStore) -> Check {
        let stream = match store.changes(self.cursor) {
            Err(error) if error.kind() == ErrorKind::Gone => {
                let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
                let oldest = stats.changes.oldest.ok_or("the oldest change is not known")?;
                if oldest.0 <= self.cursor.seqno.0 + 1 {
                    return Err(format!("feed: {error}, though {oldest} is there after {}", self.cursor));
                }
                store.changes(SeqNo(oldest.0 - 1))
            }
            opened => opened,
        };
        let stream = stream.map_err(|error| format!("feed from {}: {error:?}", self.cursor))?;
        self.cursor = stream.cursor();
        self.stream = Some(stream);
        Ok(())
    }

    /// Takes the changes that there are; how many, and the last.
    fn take(&mut self, model: &Model) -> Check<(u64, u64)> {
        let mut taken = 0;
        for change in self.stream.iter_mut().flatten() {
            let change = match change {
                Err(error) if error.kind() == ErrorKind::Closed => break,
                change => change.map_err(|error| format!("feed behind {}: {error:?}", self.cursor))?,
            };
            let at = change.cursor.seqno.0;
            if at != self.cursor.seqno.0 + 1 {
                return Err(format!("feed: {} follows {}", change.cursor, self.cursor));
            }
            let mut followed = nodes(model.state(at - 1)?);
            change.deletes.iter().for_each(|id| drop(followed.remove(id)));
            followed.extend(change.puts.iter().map(|node| (node.id, node.clone())));
            if followed != nodes(model.state(at)?) {
                return Err(format!("feed: {change:?} does not lead to commit {at}"));
            }
            self.cursor = change.cursor;
            taken += 1;
        }
        Ok((taken, self.cursor.seqno.0))
    }
}

impl Inner {
    /// Follows the store, in whatever call another thread may be.
    pub fn follow_on(&mut self) -> Check {
        let (taken, at) = self.follower.take(&self.model)?;
        self.did.followed += taken;
        // What was shown must never be taken back.
        self.model.seen(at)?;
        self.model.durable = self.model.durable.max(at);
        Ok(())
    }

    /// The same between two calls, where a stream can begin.
    pub fn follow(&mut self, store: &PersistentVectorStore) -> Check {
        if self.follower.stream.is_none() || self.rng.chance(0.2) {
            self.follower.begin(store)?;
        }
        self.follow_on()
    }
}
