//! Backups as the place where files are fetched from that are damaged in the store.
//!
//! What always holds: a file of a backup is taken for one of the store only if the manifests of both pin the same bytes, and only once
//! all of it was read again, on whatever timeline it was put: a backup may have been made of the damage.

use std::path::{Path, PathBuf};

use codegraph_vector_base::vfs::{self, TEMPORARY_SUFFIX, Vfs};
use codegraph_vector_base::{Error, ErrorKind, Result, StoreId};

use super::format::{BackupFile, BackupManifest};
use super::repository::Repository;
use crate::options::Environment;
use crate::store::core::Core;
use crate::store::{DamagedFile, RepairSource};

/// The backups of a store in a place that is looked at when something is to be repaired.
pub(crate) struct BackupsAt {
    place: PathBuf,
    store: StoreId,
    environment: Environment,
}

impl BackupsAt {
    pub(crate) fn of(core: &Core, place: &Path) -> Box<dyn RepairSource> {
        let (place, environment) = (place.to_owned(), core.environment.clone());
        Box::new(Self { place, store: core.store_id, environment })
    }
}

impl RepairSource for BackupsAt {
    fn bring(&self, file: &DamagedFile<'_>, vfs: &dyn Vfs, path: &Path) -> Result<bool> {
        Repository::open(&self.place, self.store, &self.environment)?.bring(file, vfs, path)
    }
}

impl RepairSource for Repository {
    fn bring(&self, file: &DamagedFile<'_>, vfs: &dyn Vfs, path: &Path) -> Result<bool> {
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
