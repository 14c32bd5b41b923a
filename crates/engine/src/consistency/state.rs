//! A committed state, as a statement or a validation reads it.

use codegraph_vector_base::{NodeId, Result, SeqNo};

use crate::store::Row;
use crate::store::core::Core;
use crate::version::Version;

/// What was committed up to a SeqNo.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    pub(crate) core: &'a Core,
    /// Holds that state in full; see [`Core::read_point`].
    pub(crate) version: &'a Version,
    pub(crate) seqno: SeqNo,
}

impl State<'_> {
    /// A node's row, if there is one.
    ///
    /// # Errors
    /// `Corrupt` if what is stored of it is damaged.
    pub(crate) fn row(&self, id: NodeId) -> Result<Option<Row>> {
        self.core.find_row(self.version, self.seqno, id)
    }
}
