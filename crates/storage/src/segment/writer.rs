//! Writing a segment: one pass, one copy at most, checksums on the way.
//!
//! What always holds: the file has a temporary name until it is whole and synced; a writer that is dropped or has
//! failed leaves nothing behind; after an error nothing but dropping is possible.

use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile, temporary};
use codegraph_vector_base::{Crc32c, Error, ErrorKind, Generation, Result, SegmentId, StoreId, wire};

use super::format::{
    BLOCK_BYTES, KIND, SectionEntry, SectionKind, SegmentFileRef, TRAILER_BYTES, Trailer, table_crc,
};
use crate::envelope::{ENVELOPE_BYTES, Envelope};
use crate::layout::StoreLayout;

/// Bytes are gathered up to multiples of this, and written from one to another. Linux keeps what comes in one write in one
/// piece of memory, and maps such a piece of 2 MiB by one entry of the page table instead of 512: what is read here and
/// there from the map then is not looked for in the page table first.
const PIECE_BYTES: usize = 2 << 20;
/// Space is reserved in steps of this many bytes at most.
const LARGEST_RESERVE_BYTES: u64 = 16 << 20;

/// A segment in the making.
#[derive(Debug)]
pub struct SegmentWriter<'v> {
    vfs: &'v dyn Vfs,
    path: PathBuf,
    temporary: PathBuf,
    output: Output,
    header: [u8; ENVELOPE_BYTES],
    sections: Vec<SectionEntry>,
    /// Checksums of all blocks so far, of all sections.
    crcs: Vec<u8>,
    open: Option<OpenSection>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writing,
    Failed,
    Renamed,
}

/// The section that is being written, and its last block.
#[derive(Debug)]
struct OpenSection {
    entry: SectionEntry,
    crc: Crc32c,
    block_bytes: usize,
}

impl<'v> SegmentWriter<'v> {
    /// Begins the segment `id`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(vfs: &'v dyn Vfs, layout: &StoreLayout, store: StoreId, id: SegmentId) -> Result<Self> {
        Self::create_requiring(vfs, layout, store, id, 0)
    }

    /// Begins the segment `id`, for readers only that know all of these features.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create_requiring(
        vfs: &'v dyn Vfs,
        layout: &StoreLayout,
        store: StoreId,
        id: SegmentId,
        required: u64,
    ) -> Result<Self> {
        let path = layout.segment_path(id);
        let temporary = temporary(&path);
        let file = vfs.open(&temporary, OpenMode::Create)?;
        let generation = Generation(0);
        let envelope = Envelope { required, ..Envelope::around(&KIND, store, id, generation, &[]) };
        let header = envelope.encode(&KIND);
        let mut output = Output { file, buffer: Vec::new(), start: 0, reserved: 0 };
        output.buffer.extend_from_slice(&header);
        let (sections, crcs, state) = (Vec::new(), Vec::new(), State::Writing);
        Ok(Self { vfs, path, temporary, output, header, sections, crcs, open: None, state })
    }

    /// Begins a section.
    ///
    /// # Errors
    /// `InvalidInput` if another one is open, or the segment has one of that kind.
    pub fn begin(&mut self, kind: SectionKind) -> Result<()> {
        self.guarded(|writer| {
            if writer.open.is_some() || writer.sections.iter().any(|entry| entry.kind == kind) {
                return Err(Error::invalid(format!("section {kind} was begun out of turn")));
            }
            let offset = writer.output.position();
            let crcs_offset = writer.crcs.len() as u64; // Counted from the first until `finish`.
            let entry = SectionEntry { kind, reserved: 0, offset, len: 0, crcs_offset };
            writer.open = Some(OpenSection { entry, crc: Crc32c::new(), block_bytes: 0 });
            Ok(())
        })
    }

    /// Continues the section. Large pieces go to the file as they are, small ones are gathered.
    ///
    /// # Errors
    /// `InvalidInput` if no section is open; `StorageFull`; what else the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.guarded(|writer| {
            let Some(section) = &mut writer.open else {
                return Err(Error::invalid("bytes of no section"));
            };
            section.add(bytes, &mut writer.crcs);
            writer.output.append(bytes)
        })
    }

    /// Ends the section.
    ///
    /// # Errors
    /// `InvalidInput` if none is open; what the file system says.
    pub fn end(&mut self) -> Result<()> {
        self.guarded(|writer| {
            let Some(mut section) = writer.open.take() else {
                return Err(Error::invalid("the end of no section"));
            };
            if section.block_bytes > 0 {
                section.end_block(&mut writer.crcs);
            }
            writer.sections.push(section.entry);
            let end = writer.output.position();
            let padding = end.next_multiple_of(SECTION_ALIGNMENT as u64) - end;
            writer.output.append(&[0; SECTION_ALIGNMENT][..padding as usize])
        })
    }

    /// A whole section that is at hand.
    ///
    /// # Errors
    /// As [`SegmentWriter::begin`], [`SegmentWriter::write`] and [`SegmentWriter::end`].
    pub fn section(&mut self, kind: SectionKind, bytes: &[u8]) -> Result<()> {
        self.begin(kind)?;
        self.write(bytes)?;
        self.end()
    }

    /// Lets the segment appear under its name, complete and durable: sync, rename, sync of the folder.
    ///
    /// # Errors
    /// `InvalidInput` if a section is open; what the file system says. Unless it was the folder's sync that failed,
    /// nothing is left behind; if it was, an unreferenced file is, for the next open to sweep.
    pub fn finish(mut self) -> Result<SegmentFileRef> {
        let file_ref = self.guarded(Self::write_tables)?;
        let Output { file, .. } = &self.output;
        file.sync_all()?;
        self.vfs.rename(&self.temporary, &self.path)?;
        self.state = State::Renamed;
        self.vfs.sync_dir(self.path.parent().unwrap_or(&self.path))?;
        Ok(file_ref)
    }

    fn write_tables(&mut self) -> Result<SegmentFileRef> {
        if self.open.is_some() {
            return Err(Error::invalid("the segment ends within a section"));
        }
        let crcs_offset = self.output.position();
        let table_offset = crcs_offset + self.crcs.len() as u64;
        self.sections.iter_mut().for_each(|entry| entry.crcs_offset += crcs_offset);
        let table = wire::encode(&self.sections)?;
        let table_crc = table_crc(&self.header, &self.crcs, &table);
        let file_bytes = table_offset + (table.len() + TRAILER_BYTES) as u64;
        self.output.append(&self.crcs)?;
        self.output.append(&table)?;
        self.output.append(&Trailer { crcs_offset, table_offset, file_bytes, table_crc }.encode())?;
        self.output.finish()?;
        Ok(SegmentFileRef { file_bytes, table_crc })
    }

    /// Runs a step, unless an earlier one failed.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.state == State::Failed {
            return Err(Error::invalid("the segment's writer has failed before").at(&self.path));
        }
        let result = step(self).map_err(|error| match error.path() {
            None => error.at(&self.path),
            Some(_) => error,
        });
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }
}

impl Drop for SegmentWriter<'_> {
    fn drop(&mut self) {
        if self.state != State::Renamed {
            // What cannot be removed now is swept at the next open.
            let _ = self.vfs.remove_file(&self.temporary);
        }
    }
}

impl OpenSection {
    fn add(&mut self, mut bytes: &[u8], crcs: &mut Vec<u8>) {
        self.entry.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_bytes));
            self.crc = self.crc.update(now);
            self.block_bytes += now.len();
            if self.block_bytes == BLOCK_BYTES {
                self.end_block(crcs);
            }
            bytes = later;
        }
    }

    fn end_block(&mut self, crcs: &mut Vec<u8>) {
        crcs.extend_from_slice(&self.crc.value().to_le_bytes());
        (self.crc, self.block_bytes) = (Crc32c::new(), 0);
    }
}

/// The end of the file: bytes gathered, and space reserved ahead.
#[derive(Debug)]
struct Output {
    file: Arc<dyn VfsFile>,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    start: u64,
    /// The file's length as reserved.
    reserved: u64,
}

impl Output {
    fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        loop {
            let room = PIECE_BYTES - (self.position() % PIECE_BYTES as u64) as usize;
            if bytes.len() < room {
                self.buffer.extend_from_slice(bytes);
                return Ok(());
            }
            self.reserve(self.position() + bytes.len() as u64)?;
            let later = if self.buffer.is_empty() {
                let (now, later) = bytes.split_at(room + (bytes.len() - room) / PIECE_BYTES * PIECE_BYTES);
                self.file.write_at(now, self.start)?;
                self.start += now.len() as u64;
                later
            } else {
                let (now, later) = bytes.split_at(room);
                self.buffer.extend_from_slice(now);
                self.flush()?;
                later
            };
            bytes = later;
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_at(&self.buffer, self.start)?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Takes space for the bytes up to `end`, and as much again up to a limit, so that a full disk shows early and
    /// the file lies in one piece. A segment of less than a piece never gets here.
    fn reserve(&mut self, end: u64) -> Result<()> {
        if end <= self.reserved {
            return Ok(());
        }
        let ahead = end + end.min(LARGEST_RESERVE_BYTES);
        let reserved = match self.file.allocate(self.start, ahead - self.start) {
            // There may be room for what is really needed.
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                self.file.allocate(self.start, end - self.start).map(|()| end)
            }
            done => done.map(|()| ahead),
        };
        self.reserved = reserved?;
        Ok(())
    }

    /// Writes what is gathered and gives back what was reserved beyond it.
    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if self.file.len()? > self.start {
            self.file.set_len(self.start)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
