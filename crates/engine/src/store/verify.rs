//! Verify: every byte of the store is read again and held against its checksum.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::frame::Check;
use codegraph_vector_base::{Error, ErrorKind, Lsn, Result};
use codegraph_vector_storage::manifest::{self, Manifest};
use codegraph_vector_storage::wal::{self, ScanRange};
use codegraph_vector_storage::{BadBlock, read_deaths, verify_segment};

use super::core::Core;
use crate::segment::Segment;

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Damaged places; none in a sound store.
    pub bad_blocks: Vec<BadBlock>,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows held against their own checksums.
    pub rows: u64,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.bad_blocks.is_empty()
    }

    fn blame(&mut self, path: &Path, error: &Error) {
        let path = error.path().unwrap_or(path).to_owned();
        let offset = error.offset().unwrap_or(0);
        // One damaged place may be met twice: by its block, and by the rows in it.
        if !self.bad_blocks.iter().any(|bad| bad.path == path && bad.offset == offset) {
            self.bad_blocks.push(BadBlock { path, offset, len: 0, section: None, what: error.message().to_owned() });
        }
    }

    /// Notes damage; any other failure ends the scrub.
    fn judge(&mut self, path: &Path, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io | ErrorKind::NotFound) => {
                self.blame(path, &error);
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl Core {
    /// Reads everything that the two newest manifests name, and the log, and lists what is damaged.
    ///
    /// # Errors
    /// Only what keeps the scrub from going on; damage is in the report.
    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        self.check_open()?;
        let mut report = VerifyReport::default();
        let (version, _) = self.read_point();
        let (current, previous) = {
            let manifests = self.manifests.lock();
            (manifests.current.clone(), manifests.previous.clone())
        };
        for known in std::iter::once(&current).chain(&previous) {
            self.verify_manifest(known, &mut report)?;
        }
        for segment in &version.segments {
            self.verify_segment(segment, &mut report)?;
        }
        self.verify_deaths(&current, &mut report)?;
        self.verify_log(&current, &mut report)?;
        Ok(report)
    }

    fn count(&self, path: PathBuf, report: &mut VerifyReport) -> Result<PathBuf> {
        let file = self.environment.vfs.open(&path, codegraph_vector_base::vfs::OpenMode::Read);
        let len = file.and_then(|file| file.len());
        report.files += 1;
        report.bytes += *len.as_ref().unwrap_or(&0);
        report.judge(&path, len.map(|_| ()))?;
        Ok(path)
    }

    fn verify_manifest(&self, known: &Manifest, report: &mut VerifyReport) -> Result<()> {
        let path = self.count(self.layout.manifest_path(known.generation), report)?;
        let read = manifest::read(&*self.environment.vfs, &self.layout, known.generation);
        let same = read.and_then(|read| match read == *known {
            true => Ok(()),
            false => Err(Error::corrupt(&path, 0, "this manifest is not the one that the store was opened with")),
        });
        report.judge(&path, same)
    }

    fn verify_segment(&self, segment: &Arc<Segment>, report: &mut VerifyReport) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let info = &segment.info;
        let path = self.count(self.layout.segment_path(info.id), report)?;
        match verify_segment(vfs, &path, info.origin, info.id, &info.file) {
            Ok(bad) if bad.is_empty() => {}
            Ok(bad) => {
                report.bad_blocks.extend(bad);
                return Ok(()); // Its rows are damaged too; the blocks say where.
            }
            Err(error) => return report.judge(&path, Err(error)),
        }
        report.rows += u64::from(segment.rows());
        report.judge(&path, segment.verify_rows(&self.caches()))
    }

    fn verify_deaths(&self, current: &Manifest, report: &mut VerifyReport) -> Result<()> {
        for info in &current.segments {
            let Some(deaths) = &info.deaths else { continue };
            let path = self.count(self.layout.deaths_path(info.id, deaths.generation), report)?;
            let read = read_deaths(&*self.environment.vfs, &path, self.store_id, info.id, info.rows, deaths);
            report.judge(&path, read.map(|_| ()))?;
        }
        Ok(())
    }

    fn verify_log(&self, current: &Manifest, report: &mut VerifyReport) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let folder = self.layout.wal_dir();
        let files = wal::wal_files(vfs, &folder)?;
        for first in &files {
            self.count(self.layout.wal_path(*first), report)?;
        }
        // From the oldest file on: retention may lag behind the checkpoint.
        let from = files.first().copied().unwrap_or(Lsn(0)).min(current.checkpoint.lsn);
        let (proven, limit) = match &self.writer {
            Some(writer) => writer.log.appender(|appender| (appender.synced(), appender.end())),
            None => (current.proven_lsn, self.head.lock().cut.lsn),
        };
        let range = ScanRange { from, proven, limit, check: Check::Verify };
        let scanned = wal::scan(vfs, &folder, self.store_id, range, &mut |_| Ok(()));
        report.judge(&folder, scanned.map(|_| ()))
    }
}
