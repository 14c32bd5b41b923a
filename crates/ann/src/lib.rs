//! Vector arithmetic of CodeGraph Vector: metrics, SIMD kernels, top-k, the exact scan, and codecs.
//!
//! Pure CPU. Nothing here reads a file, a clock or a random number; data comes in as slices.
//! What always holds:
//!
//! - a higher score is better, and no NaN ever enters a result;
//! - ties go to the smaller key, so that a result does not depend on the order of the scan;
//! - one row has one score: the bits of a score depend on the query, the row, its norm and
//!   the kernel only, never on where the row stands in a block or on how it was selected;
//! - [`norm`] has the same bits on every machine, so that a stored norm may be checksummed.
//!
//! Left to others: ids, snapshots, filters, files. A caller says which rows it may see with
//! the `admit` closure of [`ExactScan::scan_block`], which is asked late.
//!
//! ```
//! use codegraph_vector_ann::{ExactScan, Metric, RowBlock, Rows, TopK, norm};
//!
//! let rows = [1.0, 0.0, 0.0, 2.0, 3.0, 3.0_f32]; // three rows of dimension 2
//! let norms: Vec<f32> = rows.chunks(2).map(norm).collect();
//! let scan = ExactScan::new(Metric::Cosine, &[0.0, 1.0]);
//! let mut top = TopK::new(2);
//! scan.scan_block(RowBlock { rows: &rows, norms: &norms }, Rows::All, Some, &mut top);
//! let keys: Vec<u32> = top.into_sorted().iter().map(|hit| hit.key).collect();
//! assert_eq!(keys, [1, 2]);
//! ```

pub mod codec;
pub mod index;
mod kernels;
mod linear;
mod metric;
mod numeric;
mod random;
mod scan;
mod topk;

pub use kernels::look_up::LookUps;
pub use kernels::{Hashes, Kernels};
pub use metric::{Metric, UnknownMetric};
pub use numeric::{check_finite, norm};
pub use scan::{ExactScan, RowBlock, Rows};
pub use topk::{Hit, TopK};
