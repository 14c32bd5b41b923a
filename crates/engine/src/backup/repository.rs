//! The backups of one store in a target: what is there, by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::vfs::{self, Vfs};
use codegraph_vector_base::{Error, ErrorKind, Result, StoreId};
use codegraph_vector_objects::{ObjectTarget, Put, Source, Written, get_all};
use jiff::Timestamp;
use serde_json::json;

use super::format::{BackupFile, BackupManifest};
use crate::options::Environment;

const BACKUP_SUFFIX: &str = ".backup";
/// A manifest of more bytes is none.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;
/// Bytes of an object that are fetched at a time.
pub(super) const PIECE_BYTES: u64 = 4 << 20;

/// The backups of a store.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(super) target: Arc<dyn ObjectTarget>,
    pub(super) store: StoreId,
}

impl Repository {
    /// Those of `store` in the place that a path or URL names.
    pub(crate) fn open(place: &Path, store: StoreId, environment: &Environment) -> Result<Self> {
        let Environment { vfs, random, .. } = environment;
        Ok(Self { target: codegraph_vector_objects::open(place, vfs.clone(), random.clone())?, store })
    }

    /// Those of the only store that has some in a place.
    ///
    /// # Errors
    /// `NotFound` if there is none; `InvalidInput` if there are several.
    pub(crate) fn of_only_store(place: &Path, environment: &Environment) -> Result<Self> {
        let Environment { vfs, random, .. } = environment;
        let target = codegraph_vector_objects::open(place, vfs.clone(), random.clone())?;
        let mut stores = Vec::new();
        for folder in target.list("")?.folders {
            let Some(store) = parse_store(folder.trim_end_matches('/')) else { continue };
            let objects = target.list(&folder)?.objects;
            if objects.iter().any(|object| object.name.ends_with(BACKUP_SUFFIX)) {
                stores.push(store);
            }
        }
        match stores[..] {
            [store] => Ok(Self { target, store }),
            [] => Err(Error::new(ErrorKind::NotFound, "there is no backup here").at(place)),
            _ => Err(Error::invalid("there are backups of several stores here; name the one of this store")
                .at(place)),
        }
    }

    /// The path or URL of the target.
    pub(super) fn place(&self) -> PathBuf {
        PathBuf::from(self.target.url())
    }

    /// Whether anything can be put there.
    pub(super) fn is_writable(&self) -> bool {
        self.target.is_writable()
    }

    /// The name of something of this store.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.store)
    }

    pub(super) fn backup_name(&self, id: &str) -> String {
        self.name(&format!("{id}{BACKUP_SUFFIX}"))
    }

    pub(super) fn object_name(&self, hash: &[u8; 32]) -> String {
        self.name(&format!("objects/{}", blake3::Hash::from_bytes(*hash).to_hex()))
    }

    /// Where a backup's manifest is, for people.
    pub(super) fn path_of(&self, id: &str) -> PathBuf {
        self.target.path_of(&self.backup_name(id))
    }

    /// The ids of all backups, oldest first.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let folder = self.name("");
        let id = |name: &str| Some(name.strip_prefix(&folder)?.strip_suffix(BACKUP_SUFFIX)?.to_owned());
        Ok(self.target.list(&folder)?.objects.iter().filter_map(|object| id(&object.name)).collect())
    }

    /// A backup's manifest; the newest one's for `latest`.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`; `Unsupported` for a newer format.
    pub(crate) fn read(&self, id: &str) -> Result<BackupManifest> {
        if id == LATEST {
            let newest = self.ids()?.pop();
            let newest = newest.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no backup"))?;
            return self.read(&newest);
        }
        let path = self.path_of(id);
        let bytes = get_all(&*self.target, &self.backup_name(id), MAX_MANIFEST_BYTES);
        let bytes = bytes.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("there is no backup {id}")).at(&path)
            }
            _ => error,
        })?;
        let backup = BackupManifest::decode(&bytes).map_err(|error| error.at(&path))?;
        if backup.id != id || backup.store_id != self.store {
            return Err(Error::new(ErrorKind::Corrupt, "this is the manifest of another backup").at(path));
        }
        Ok(backup)
    }

    /// All backups, oldest first; of those that cannot be read, why.
    pub(crate) fn all(&self) -> Result<Vec<(String, Result<BackupManifest>)>> {
        Ok(self.ids()?.into_iter().map(|id| (id.clone(), self.read(&id))).collect())
    }

    /// All backups that can be read, oldest first.
    ///
    /// # Errors
    /// Why the last of them cannot be, if none can.
    pub(super) fn readable(&self) -> Result<Vec<BackupManifest>> {
        let (mut readable, mut failure) = (Vec::new(), None);
        for (_, backup) in self.all()? {
            match backup {
                Ok(backup) => readable.push(backup),
                Err(error) => failure = Some(error),
            }
        }
        match failure.filter(|_| readable.is_empty()) {
            Some(error) => Err(error),
            None => Ok(readable),
        }
    }

    /// Lets an object's content pass by, piece by piece, and holds it against its name and size.
    ///
    /// # Errors
    /// `Corrupt` if it is missing, or other than it was put; those of `each`.
    pub(super) fn check(
        &self,
        file: &BackupFile,
        mut each: impl FnMut(&[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let name = self.object_name(&file.hash);
        let bad = |what: String| Error::new(ErrorKind::Corrupt, what).at(self.target.path_of(&name));
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < file.bytes {
            let piece = self.target.get(&name, at..file.bytes.min(at + PIECE_BYTES));
            let piece = piece.map_err(|error| match error.kind() {
                ErrorKind::NotFound => bad("an object of this backup is missing".to_owned()),
                _ => error,
            })?;
            if piece.is_empty() {
                return Err(bad(format!("an object of this backup ends at byte {at} of {}", file.bytes)));
            }
            hasher.update(&piece);
            each(&piece, at)?;
            at += piece.len() as u64;
        }
        let found = self.target.info(&name)?.map(|object| object.bytes);
        if found != Some(file.bytes) {
            return Err(bad(format!("an object of this backup has {found:?} bytes, not {}", file.bytes)));
        }
        match hasher.finalize().as_bytes() == &file.hash {
            true => Ok(()),
            false => Err(bad("an object of this backup is not what was put there".to_owned())),
        }
    }

    /// Lets a file of a backup appear at a path, whole and durable.
    ///
    /// # Errors
    /// As [`check`](Self::check); what the file system says.
    pub(crate) fn fetch(&self, file: &BackupFile, vfs: &dyn Vfs, path: &Path) -> Result<()> {
        vfs::publish(vfs, path, |to| self.check(file, |piece, at| to.write_at(piece, at)))
    }

    /// Puts an object, if it is not there; whether it was not.
    pub(super) fn put(&self, hash: &[u8; 32], source: &dyn Source) -> Result<bool> {
        let name = self.object_name(hash);
        if self.target.info(&name)?.map(|object| object.bytes) == Some(source.len()?) {
            return Ok(false);
        }
        match self.target.put(&name, source, Put::Content)? {
            Written::Created => Ok(true),
            // Something is there that is not what its name says.
            Written::Existed => {
                self.target.put(&name, source, Put::Replace)?;
                Ok(true)
            }
        }
    }

    /// Writes anew what tells of all backups, for those who cannot list.
    pub(super) fn write_catalog(&self) -> Result<()> {
        let all = self.all()?;
        let of = |backup: &BackupManifest| {
            json!({
                "backup_id": backup.id,
                "seqno": backup.seqno().0,
                "created_at": backup.created_at(),
                "commit_time": backup.commit_time(),
                "timeline": backup.manifest.timeline,
                "bytes": backup.bytes,
                "name": backup.name,
            })
        };
        let backups: Vec<_> = all.iter().filter_map(|(_, backup)| backup.as_ref().ok()).map(of).collect();
        let catalog = json!({"format": 1, "store_id": self.store.to_string(), "backups": backups});
        let bytes = serde_json::to_vec_pretty(&catalog)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot write the catalog: {error}")))?;
        self.target.put(&self.name("catalog.json"), &bytes, Put::Replace).map(|_| ())
    }
}

/// Stands for the newest backup.
pub(crate) const LATEST: &str = "latest";

/// A time as people and other programs read it, in UTC.
pub(crate) fn rfc3339(us: u64) -> String {
    Timestamp::from_microsecond(us as i64).map_or_else(|_| us.to_string(), |time| time.to_string())
}

fn parse_store(folder: &str) -> Option<StoreId> {
    let is_id = folder.len() == 32 && folder.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_id.then(|| u128::from_str_radix(folder, 16).ok()).flatten().map(|id| StoreId(id.to_be_bytes()))
}
