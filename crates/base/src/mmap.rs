//! Read-only views of whole files: the only mapping `unsafe` of the project.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// Bytes on a 64-byte boundary, owned: what a simulated file system hands out in place of a map.
#[derive(Debug, Default)]
pub struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl AlignedBytes {
    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut lines = vec![Line([0; 64]); bytes.len().div_ceil(64)];
        bytemuck::cast_slice_mut(&mut lines)[..bytes.len()].copy_from_slice(bytes);
        Self { lines, len: bytes.len() }
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

/// A read-only view of a whole file, at least 64-byte aligned.
///
/// The hazard of every map is passed on, not hidden: bytes change under the view if anyone writes
/// the file, and access faults (SIGBUS) if anyone truncates it. The store's rule that makes it
/// sound is that mapped files are immutable: they appear by rename, complete, and are only ever
/// unlinked. An I/O error of the disk under a mapped page also arrives as SIGBUS; that is the
/// price of maps, and data whose loss must be an error (payload, log, manifest) is read by calls.
#[derive(Debug)]
pub enum Mapping {
    /// A map of the operating system.
    Mapped(memmap2::Mmap),
    /// A copy in memory.
    Owned(AlignedBytes),
}

impl Mapping {
    /// Maps all of `file`, which must never be written or truncated from now on.
    ///
    /// # Errors
    /// What the operating system says.
    #[allow(unsafe_code)]
    pub fn of_file(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Mapping::Owned(AlignedBytes::default())); // The system refuses empty maps.
        }
        // SAFETY: the store's files that are mapped are immutable once renamed into place (see
        // above), guaranteed by `vfs`, whose callers write mapped files before the rename only.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Mapping::Mapped(map))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Mapping::Mapped(map) => map,
            Mapping::Owned(bytes) => bytes,
        }
    }
}
