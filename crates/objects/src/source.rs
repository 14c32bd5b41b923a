//! What is put: bytes that can be read again, for another try.

use std::sync::Arc;

use codegraph_vector_base::Result;
use codegraph_vector_base::vfs::VfsFile;

/// Bytes that stay the same while they are put.
pub trait Source: Send + Sync {
    /// How many there are.
    fn len(&self) -> Result<u64>;

    /// Whether there are none.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at `offset` as much as there is; fewer bytes than asked for only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;
}

impl Source for Vec<u8> {
    fn len(&self) -> Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.as_slice().len());
        let rest = &self[start..];
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }
}

/// A file that is not written to any more.
#[derive(Debug)]
pub struct FileSource(pub Arc<dyn VfsFile>);

impl Source for FileSource {
    fn len(&self) -> Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buffer, offset)
    }
}
