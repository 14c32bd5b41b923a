//! Whether a backup could be restored: all its objects are there, and are what was put.

use std::collections::HashMap;
use std::path::Path;

use codegraph_vector_base::{Error, ErrorKind, Result, RowChecksumSum, SeqNo, vfs};

use super::repository::Repository;
use super::restore::{Place, RestoreTarget};
use crate::options::{Environment, OpenOptions, Settings};
use crate::persistent::PersistentVectorStore;

/// How thoroughly a backup is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupCheck {
    /// Its manifest, and that its objects are there with their sizes.
    Quick,
    /// Every byte of its objects, too.
    #[default]
    Full,
}

/// What was found in a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupCheckReport {
    /// Its id.
    pub backup_id: String,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes of them that were read.
    pub bytes: u64,
    /// What is wrong; nothing in a sound backup.
    pub problems: Vec<String>,
}

impl BackupCheckReport {
    /// Whether it can be restored.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Repository {
    /// Looks at a backup.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id; what keeps it from being looked at.
    pub(crate) fn verify(&self, id: &str, check: BackupCheck) -> Result<BackupCheckReport> {
        let mut report = BackupCheckReport { backup_id: id.to_owned(), ..BackupCheckReport::default() };
        let backup = match self.read(id) {
            Ok(backup) => backup,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                report.problems.push(error.to_string());
                return Ok(report);
            }
            Err(error) => return Err(error),
        };
        report.backup_id.clone_from(&backup.id);
        let listed = self.target.list(&self.name("objects/"))?.objects;
        let sizes: HashMap<&str, u64> = listed.iter().map(|object| (&*object.name, object.bytes)).collect();
        for file in &backup.files {
            report.objects += 1;
            let name = self.object_name(&file.hash);
            match sizes.get(&*name) {
                Some(bytes) if *bytes == file.bytes => {}
                found => {
                    let found = found.map_or("is missing".to_owned(), |bytes| format!("has {bytes} bytes"));
                    report.problems.push(format!(
                        "{} of segment {}: the object {name} of {} bytes {found}",
                        if file.deaths.is_some() { "deaths" } else { "rows" },
                        file.segment,
                        file.bytes
                    ));
                    continue;
                }
            }
            if check == BackupCheck::Full {
                match self.check(file, |_, _| Ok(())) {
                    Ok(()) => report.bytes += file.bytes,
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        report.problems.push(error.to_string())
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(report)
    }
}

/// What a rehearsed restore came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RehearsalReport {
    /// The backup that it began with.
    pub backup_id: String,
    /// The last commit of what was restored, and what it comes to: nodes, and the sum of their checksums.
    pub restored: Option<(SeqNo, u64, RowChecksumSum)>,
    /// What is wrong; nothing if it could be restored.
    pub problems: Vec<String>,
}

impl RehearsalReport {
    /// Whether it can be restored.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Repository {
    /// Restores to a folder that is missing or empty, looks at all that came of it, and removes it.
    ///
    /// # Errors
    /// What keeps it from being tried; what is wrong with backup or archive is in the report.
    pub(super) fn rehearse(
        &self,
        wanted: &RestoreTarget,
        folder: &Path,
        environment: &Environment,
    ) -> Result<RehearsalReport> {
        let vfs = &*environment.vfs;
        // What is there already is not ours to remove.
        if vfs.exists(folder)? && !vfs.list(folder)?.is_empty() {
            return Err(Error::invalid("there is something here; name another folder").at(folder));
        }
        let mut report = RehearsalReport::default();
        let outcome = self.rehearse_in(wanted, folder, environment, &mut report);
        vfs::remove_tree(vfs, folder)?;
        match outcome {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                report.problems.push(error.to_string());
                Ok(report)
            }
            outcome => outcome.map(|()| report),
        }
    }

    fn rehearse_in(
        &self,
        wanted: &RestoreTarget,
        folder: &Path,
        environment: &Environment,
        report: &mut RehearsalReport,
    ) -> Result<()> {
        let restored = self.restore(wanted, folder, environment, Place::Rehearsal, &mut |_| ())?;
        report.backup_id = restored.backup_id;
        // Opening it replays the log, and holds the rows at the checkpoint against the sum that the backup has of them.
        let options = OpenOptions {
            must_exist: true,
            settings: Some(Settings { background: false, ..Settings::default() }),
            refuse_damaged: true,
            environment: environment.clone(),
            ..OpenOptions::default()
        };
        let store = PersistentVectorStore::open(folder, options)?;
        let stats = store.stats()?;
        report.restored = Some((stats.seqno, stats.active_vectors, stats.content_hash));
        report.problems.extend(store.verify()?.bad_blocks.iter().map(|bad| bad.what.clone()));
        store.close()
    }
}
