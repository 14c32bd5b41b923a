//! Compression on demand: a codec is trained, measured, taken or refused, and every segment is encoded by it.

use codegraph_vector_base::{Error, ErrorKind, Result};

use super::core::Core;
use crate::compression::{CompressProgress, CompressReport, CompressRequest, CompressionStatistics};
use crate::version::Version;

impl Core {
    pub(crate) fn compress(
        &self,
        request: &CompressRequest,
        progress: &(dyn Fn(&CompressProgress) + Sync),
    ) -> Result<CompressReport> {
        let _ = (request, progress);
        Err(Error::new(ErrorKind::Unsupported, "codecs cannot be trained yet"))
    }

    pub(crate) fn compression_statistics(&self, _version: &Version) -> Option<CompressionStatistics> {
        None
    }
}
