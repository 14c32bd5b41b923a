//! Backups as the place where files are fetched from that are damaged in the store.
//!
//! What always holds: a file of a backup is taken for one of the store only if the manifests of both pin the same bytes, and only once
//! all of it was read again, on whatever timeline it was put: a backup may have been made of the damage.

use std::path::Path;

use codegraph_vector_base::vfs::{self, TEMPORARY_SUFFIX, Vfs};
use codegraph_vector_base::{Error, ErrorKind, Result};

use super::format::{BackupFile, BackupManifest};
use super::repository::Repository;
use crate::store::DamagedFile;

impl Repository {
    /// Lets a file appear at `path`, whole, durable and held against what it has to be; `false` if it is not to be had.
    ///
    /// # Errors
    /// What keeps it from being looked for; what the file system says.
    pub(crate) fn bring(&self, file: &DamagedFile<'_>, vfs: &dyn Vfs, path: &Path) -> Result<bool> {
        let mut tried = Vec::new();
        // Of backups that cannot be read others may have what is looked for.
        for backup in self.all()?.into_iter().rev().filter_map(|(_, backup)| backup.ok()) {
            let Some(object) = object_of(&backup, file).filter(|object| !tried.contains(&object.hash)) else {
                continue;
            };
            tried.push(object.hash);
            let fetched = vfs::publish(vfs, path, |to| {
                self.check(object, |piece, at| to.write_at(piece, at))?;
                let mut beside = path.as_os_str().to_owned();
                beside.push(TEMPORARY_SUFFIX);
                match file.is_at(vfs, Path::new(&beside))? {
                    true => Ok(()),
                    false => Err(Error::new(ErrorKind::Corrupt, "this backup was made of what is damaged")),
                }
            });
            match fetched {
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                fetched => return fetched.map(|()| true),
            }
        }
        Ok(false)
    }
}

/// The object in a backup that is this file.
fn object_of<'a>(backup: &'a BackupManifest, file: &DamagedFile<'_>) -> Option<&'a BackupFile> {
    let (now, then) = (file.info, backup.manifest.segment(file.info.id)?);
    let is_same = match file.deaths {
        true => now.deaths.is_some() && then.deaths == now.deaths,
        false => (then.origin, &then.file, then.checksum_sum) == (now.origin, &now.file, now.checksum_sum),
    };
    let generation = now.deaths.filter(|_| file.deaths).map(|deaths| deaths.generation);
    let is_it = |object: &&BackupFile| object.segment == now.id && object.deaths == generation;
    backup.files.iter().find(is_it).filter(|_| is_same)
}
