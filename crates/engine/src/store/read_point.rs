//! How a reader comes by a version and a SeqNo that fit each other, while both move.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_base::SeqNo;

use super::sync::{ArcSwap, AtomicU64};

/// A version that lacks rows of SeqNos before its floor.
pub(super) trait Floor {
    fn floor(&self) -> SeqNo;
}

/// A version and a SeqNo that fit each other: the version holds exactly what was committed up
/// to that SeqNo, and maybe more.
///
/// Read in this order: were `visible` read first, a flush could drop rows that died after it;
/// were the version to change in between, it might lack what became visible meanwhile.
pub(super) fn read_point<V: Floor>(version: &ArcSwap<V>, visible: &AtomicU64) -> (Arc<V>, SeqNo) {
    loop {
        let pinned = version.load_full();
        let seqno = SeqNo(visible.load(Ordering::Acquire)).max(pinned.floor());
        if Arc::ptr_eq(&pinned, &version.load()) {
            return (pinned, seqno);
        }
    }
}
