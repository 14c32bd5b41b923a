//! Verify: all manifests, blocks, rows and log records are read again and held against their checksums.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::frame::Check;
use codegraph_vector_base::{Error, ErrorKind, Lsn, NodeId, Result};
use codegraph_vector_storage::manifest::{self, Manifest, SegmentRef};
use codegraph_vector_storage::wal::{self, ScanRange};
use codegraph_vector_storage::{BadBlock, StoreLayout, read_deaths, verify_segment};

use super::checkpoint::check_contents;
use super::core::Core;
use crate::quarantine::QuarantinedSegment;
use crate::segment::Segment;
use crate::version::Version;

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
    /// Segments in quarantine, also by what was found before.
    pub quarantined: Vec<QuarantinedSegment>,
    /// Nodes in them that cannot be read, in order.
    pub lost: Vec<NodeId>,
    /// Rows in them whose ids cannot be read either.
    pub lost_unknown: u64,
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
            self.bad_blocks.push(BadBlock {
                path,
                offset,
                len: 0,
                section: None,
                what: error.message().to_owned(),
            });
        }
    }
}

/// A scrub under way.
#[derive(Default)]
struct Scrub {
    report: VerifyReport,
    /// Files that were not there: missed, unless they were cleared away since the scrub began.
    missing: Vec<(PathBuf, Error)>,
}

impl Scrub {
    /// Notes damage; any other failure ends the scrub.
    fn judge(&mut self, path: &Path, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if error.kind() == ErrorKind::NotFound => self.missing.push((path.to_owned(), error)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io) => {
                self.report.blame(path, &error);
            }
            outcome => return outcome,
        }
        Ok(())
    }
}

impl Core {
    /// Reads all manifests, everything that the two newest valid ones name, and the log, and lists what is damaged.
    ///
    /// # Errors
    /// Only what keeps the scrub from going on; damage is in the report.
    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        self.check_open()?;
        let mut scrub = Scrub::default();
        let (version, _) = self.read_point();
        let (current, previous) = {
            let manifests = self.manifests.lock();
            (manifests.current.clone(), manifests.previous.clone())
        };
        for segment in &version.segments {
            self.verify_segment(segment, &mut scrub)?;
        }
        for missing in &version.missing.segments {
            self.verify_blocks(&missing.info, &mut scrub)?;
            scrub.report.blame(&self.layout.segment_path(missing.info.id), &missing.damage.error);
        }
        for known in std::iter::once(&current).chain(&previous) {
            self.verify_manifest(known, &mut scrub)?;
        }
        self.verify_other_manifests(&[Some(&current), previous.as_ref()], &mut scrub)?;
        let missing = version.missing.segments.iter().map(|missing| &missing.info);
        let known: Vec<_> = version.segments.iter().map(|segment| &segment.info).chain(missing).collect();
        let open = |info: &SegmentRef| known.iter().any(|known| known.id == info.id);
        let insurance = previous.iter().flat_map(|previous| &previous.segments);
        for info in insurance.filter(|info| !open(info) && current.segment(info.id).is_none()) {
            self.verify_blocks(info, &mut scrub)?;
        }
        self.verify_deaths(&current, previous.as_ref(), &mut scrub)?;
        self.verify_contents(&current, &version, &mut scrub)?;
        self.verify_log(&current, &mut scrub)?;
        let mut report = self.verify_missing(scrub)?;
        report.quarantined = self.quarantined();
        (report.lost, report.lost_unknown) = self.lost(&self.version.load());
        if !report.is_clean() {
            self.schedule_repair();
        }
        Ok(report)
    }

    fn count(&self, path: PathBuf, scrub: &mut Scrub) -> Result<PathBuf> {
        let file = self.environment.vfs.open(&path, codegraph_vector_base::vfs::OpenMode::Read);
        let len = file.and_then(|file| file.len());
        scrub.report.files += 1;
        scrub.report.bytes += *len.as_ref().unwrap_or(&0);
        scrub.judge(&path, len.map(|_| ()))?;
        Ok(path)
    }

    fn verify_manifest(&self, known: &Manifest, scrub: &mut Scrub) -> Result<()> {
        let path = self.count(self.layout.manifest_path(known.generation), scrub)?;
        let read = manifest::read(&*self.environment.vfs, &self.layout, known.generation);
        let same = read.and_then(|read| match read == *known {
            true => Ok(()),
            false => {
                Err(Error::corrupt(&path, 0, "this manifest is not the one that the store was opened with"))
            }
        });
        scrub.judge(&path, same)
    }

    /// Manifests beside the two that are known: newer ones that the store fell back behind, and older ones.
    fn verify_other_manifests(&self, known: &[Option<&Manifest>], scrub: &mut Scrub) -> Result<()> {
        let loaded = match manifest::load_newest(&*self.environment.vfs, &self.layout) {
            Ok(loaded) => loaded,
            // None is valid any more: the known ones were blamed already.
            Err(error) => return scrub.judge(self.layout.root(), Err(error)),
        };
        let is_known = |path: &Path| {
            known.iter().flatten().any(|known| self.layout.manifest_path(known.generation) == *path)
        };
        for bad in loaded.fallbacks.iter().chain(&loaded.damaged).filter(|bad| !is_known(&bad.path)) {
            let path = self.count(bad.path.clone(), scrub)?;
            scrub.report.blame(&path, &bad.error);
        }
        Ok(())
    }

    /// Reads the blocks of a segment; `false` if some are bad.
    fn verify_blocks(&self, info: &SegmentRef, scrub: &mut Scrub) -> Result<bool> {
        let path = self.count(self.layout.segment_path(info.id), scrub)?;
        match verify_segment(&*self.environment.vfs, &path, info.origin, info.id, &info.file) {
            Ok(bad) if bad.is_empty() => Ok(true),
            Ok(bad) => {
                scrub.report.bad_blocks.extend(bad);
                Ok(false)
            }
            Err(error) => scrub.judge(&path, Err(error)).map(|()| false),
        }
    }

    fn verify_segment(&self, segment: &Arc<Segment>, scrub: &mut Scrub) -> Result<()> {
        let found = scrub.report.bad_blocks.len();
        if !self.verify_blocks(&segment.info, scrub)? {
            self.quarantine_bad(segment, &scrub.report.bad_blocks[found..]);
            return Ok(()); // Its rows are damaged too; the blocks say where.
        }
        scrub.report.rows += u64::from(segment.rows());
        let verified = segment.verify_rows(&self.caches()).map_err(|error| match error.kind() {
            ErrorKind::Stale => error.as_kind(ErrorKind::NotFound),
            _ => error,
        });
        if let Err(error) = &verified
            && error.kind() == ErrorKind::Corrupt
        {
            self.quarantine(segment, error);
        }
        scrub.judge(segment.file().path(), verified)
    }

    /// Quarantines a segment some of whose bytes are bad that it does not get by without, and each block that is bad.
    fn quarantine_bad(&self, segment: &Segment, found: &[BadBlock]) {
        let path = segment.file().path();
        if let Ok(file) = self.environment.vfs.open(path, codegraph_vector_base::vfs::OpenMode::Read) {
            segment.file().scrub(&*file);
        }
        let is_spared = |bad: &&BadBlock| bad.section.is_some_and(|section| segment.gets_by_without(section));
        // None if the file is gone: it was cleared away, or is missed in the end.
        if let Some(bad) = found.iter().find(|bad| !is_spared(bad)) {
            self.quarantine(segment, &Error::corrupt(path, bad.offset, bad.what.clone()));
        }
    }

    fn verify_deaths(
        &self,
        current: &Manifest,
        previous: Option<&Manifest>,
        scrub: &mut Scrub,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        for info in std::iter::once(current).chain(previous).flat_map(|manifest| &manifest.segments) {
            let Some(deaths) = &info.deaths else { continue };
            if !seen.insert((info.id, deaths.generation)) {
                continue;
            }
            let path = self.count(self.layout.deaths_path(info.id, deaths.generation), scrub)?;
            let read = read_deaths(&*self.environment.vfs, &path, self.store_id, info.id, info.rows, deaths);
            scrub.judge(&path, read.map(|_| ()))?;
        }
        Ok(())
    }

    /// Whether the segments hold what the manifest says. Where something in them is damaged, that was told already.
    fn verify_contents(&self, current: &Manifest, version: &Version, scrub: &mut Scrub) -> Result<()> {
        if !scrub.report.is_clean() || !scrub.missing.is_empty() {
            return Ok(());
        }
        let mut segments = Vec::new();
        for info in &current.segments {
            let open = version.segments.iter().find(|segment| segment.info.id == info.id);
            // A flush has installed it, and readers do not see it yet.
            let segment = open.map_or_else(|| self.open_segment(info).map(Arc::new), |open| Ok(open.clone()));
            match segment {
                Ok(segment) => segments.push(segment),
                Err(error) => {
                    return scrub.judge(&self.layout.segment_path(info.id), Err(error));
                }
            }
        }
        let checked = check_contents(&self.layout, current, &segments, &version.missing);
        scrub.judge(&self.layout.manifest_path(current.generation), checked)
    }

    fn verify_log(&self, current: &Manifest, scrub: &mut Scrub) -> Result<()> {
        let vfs = &*self.environment.vfs;
        let folder = self.layout.wal_dir();
        loop {
            let files = wal::wal_files(vfs, &folder)?;
            // From the oldest file on: retention may lag behind the checkpoint.
            let from = files.first().copied().unwrap_or(Lsn(0)).min(current.checkpoint.lsn);
            let (proven, limit) = match &self.writer {
                Some(writer) => writer.log.appender(|appender| (appender.synced(), appender.end())),
                None => (current.proven_lsn, self.head.lock().cut.lsn),
            };
            let range = ScanRange { from, proven, limit, check: Check::Verify };
            let scanned = wal::scan(vfs, &folder, self.store_id, range, &mut |_| Ok(()));
            if scanned.is_err() && wal::wal_files(vfs, &folder)?.first() != files.first() {
                continue; // Its beginning was trimmed meanwhile.
            }
            for first in &files {
                self.count(self.layout.wal_path(*first), scrub)?;
            }
            return scrub.judge(&folder, scanned.map(|_| ()));
        }
    }

    /// Files that were missing are damage if they are needed still.
    fn verify_missing(&self, scrub: Scrub) -> Result<VerifyReport> {
        let Scrub { mut report, missing } = scrub;
        if missing.is_empty() {
            return Ok(report);
        }
        let newest = manifest::load_newest(&*self.environment.vfs, &self.layout)?;
        let needed: Vec<_> = std::iter::once(&newest.manifest).chain(&newest.previous).collect();
        let files = manifest::referenced_files(&needed);
        let floor = manifest::log_floor(&needed);
        let gone_for_good = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let segment = StoreLayout::parse_segment_name(name).map(|id| !files.segments.contains(&id));
            let deaths = StoreLayout::parse_deaths_name(name).map(|file| !files.deaths.contains(&file));
            // A manifest is gone for good if newer ones took its place; a log file, if it began before the floor.
            let manifest = StoreLayout::parse_manifest_name(name)
                .map(|generation| needed.last().is_some_and(|oldest| generation < oldest.generation));
            let log = StoreLayout::parse_wal_name(name).map(|first| first < floor);
            segment.or(deaths).or(manifest).or(log).unwrap_or(false)
        };
        let version = self.version.load();
        for (path, error) in missing.iter().filter(|(path, _)| !gone_for_good(path)) {
            report.blame(path, error);
            // Maps of it stay, but what is read from it is not there.
            if let Some(segment) = version.segments.iter().find(|segment| segment.file().path() == path) {
                self.quarantine(segment, &Error::corrupt(path, 0, "a file of the store is missing"));
            }
        }
        Ok(report)
    }
}
