//! Opening what a manifest names: its segments, the log behind the checkpoint, and what to do about those that are damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{ErrorKind, Result, SegmentId};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{Loaded, Manifest, SegmentRef};

use super::damaged::blamed;
use super::open::{Bounds, Recovered, recover_without};
use crate::options::OpenOptions;
use crate::quarantine::{Damage, Missing, MissingSegment};
use crate::segment::Segment;

/// Segments that are left out, and why.
pub(super) type LeftOut = BTreeMap<SegmentId, Damage>;

/// Opens the segments and replays the log behind the checkpoint. Segments that are found to be damaged on the way are left out,
/// unless that is to be an error.
pub(super) fn recover(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    loaded: &Loaded,
    bounds: Bounds,
    options: &OpenOptions,
) -> Result<Recovered> {
    let mut left_out = LeftOut::new();
    loop {
        let error = match recover_without(vfs, layout, loaded, bounds, options, &left_out) {
            Err(error) if !options.refuse_damaged => error,
            outcome => return outcome,
        };
        let blamed = blamed(layout, loaded.manifest.segments.iter(), &error);
        let Some(id) = blamed.filter(|id| !left_out.contains_key(id)) else { return Err(error) };
        left_out.insert(id, Damage { error, since_us: options.environment.clock.now_us() });
    }
}

/// Opens all segments of a manifest but some.
///
/// # Errors
/// `Corrupt`, naming the file, if one is damaged or not there.
pub(super) fn open_segments(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    manifest: &Manifest,
    left_out: &LeftOut,
) -> Result<(Vec<Arc<Segment>>, Missing)> {
    let dimension = manifest.schema.dimension as usize;
    let (mut segments, mut missing) = (Vec::new(), Vec::new());
    for info in &manifest.segments {
        if let Some(damage) = left_out.get(&info.id) {
            missing.push(MissingSegment { info: info.clone(), damage: damage.clone() });
            continue;
        }
        segments.push(Arc::new(open_one(vfs, layout, manifest, info, dimension)?));
    }
    Ok((segments, Missing::new(missing)))
}

fn open_one(
    vfs: &dyn Vfs,
    layout: &StoreLayout,
    manifest: &Manifest,
    info: &SegmentRef,
    dimension: usize,
) -> Result<Segment> {
    Segment::open(vfs, layout, manifest.store_id, info, dimension).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            error.as_kind(ErrorKind::Corrupt).at_offset(0).context("a file of the store is missing")
        }
        _ => error,
    })
}
