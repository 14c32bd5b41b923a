//! Whether a backup could be restored: all its objects are there, and are what was put.

use std::collections::HashMap;

use codegraph_vector_base::{ErrorKind, Result};

use super::repository::Repository;

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
