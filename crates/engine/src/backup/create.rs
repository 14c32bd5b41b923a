//! Making a backup: a checkpoint, its files, and last its manifest.
//!
//! What always holds:
//! - writers are never stopped: the files of one checkpoint are opened, and stay readable whatever becomes of their names;
//! - a backup is there once its manifest is, which is put when all that it names is durable; one that was cut short leaves
//!   objects that the next finds, and nothing that is listed;
//! - an object is put once, by its content, however many backups name it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use codegraph_vector_base::vfs::{OpenMode, VfsFile};
use codegraph_vector_base::{Error, ErrorKind, Generation, Result, SegmentId, SeqNo};
use codegraph_vector_objects::{FileSource, Put, Source, Written};
use codegraph_vector_storage::manifest::Manifest;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::claims::{Claim, Who};
use super::format::{BackupFile, BackupManifest, files_of};
use super::repository::{PIECE_BYTES, Repository, rfc3339};
use crate::store::core::Core;

/// How often files are opened anew because a merge cleared them away.
const ATTEMPTS: usize = 32;

/// How a backup is made.
#[derive(Clone)]
pub struct BackupOptions {
    /// What to call it. A backup with a name is kept until it is deleted by its id.
    pub name: Option<String>,
    /// Objects that are put at once.
    pub threads: usize,
    /// Told after each file.
    pub progress: Option<Arc<dyn Fn(BackupProgress) + Send + Sync>>,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { name: None, threads: 2, progress: None }
    }
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupProgress {
    /// Files that are in the target, and all.
    pub files: (u64, u64),
    /// Their bytes, and those of all.
    pub bytes: (u64, u64),
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Its id, by which it is restored.
    pub backup_id: String,
    /// The last commit in it.
    pub seqno: SeqNo,
    /// When it was begun, in µs since the Unix epoch.
    pub created_us: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes of those that no backup had before.
    pub new_bytes: u64,
    /// Its manifest: a path, or the URL in a cloud.
    pub path: PathBuf,
}

impl BackupReport {
    /// When it was begun, in UTC, as RFC 3339 writes it.
    pub fn created_at(&self) -> String {
        rfc3339(self.created_us)
    }
}

/// A file of the checkpoint, kept open.
struct Open {
    segment: SegmentId,
    deaths: Option<Generation>,
    bytes: u64,
    file: Arc<dyn VfsFile>,
}

impl Core {
    /// Makes a backup of everything that is visible.
    pub(crate) fn create_backup(
        &self,
        repository: &Repository,
        options: &BackupOptions,
    ) -> Result<BackupReport> {
        if let Some(name) = &options.name {
            check_backup_name(name)?;
        }
        let _claim = Claim::take(repository, &self.environment, Who::Backup, true)?;
        let begun_us = self.environment.clock.now_us();
        let (manifest, open) = self.open_checkpoint()?;
        let parent = repository.all()?.into_iter().rev().find_map(|(_, backup)| backup.ok());
        let after = parent.as_ref().map_or(0, |parent| parent.created_us + 1000);
        let known = parent.as_ref().map(|parent| known_hashes(parent, &manifest)).unwrap_or_default();
        let (files, new_bytes) = put_files(repository, &open, &known, options)?;
        let mut backup = BackupManifest {
            id: String::new(),
            store_id: self.store_id,
            parent: parent.map(|parent| parent.id),
            name: options.name.clone(),
            created_us: begun_us.max(after),
            took_us: self.environment.clock.now_us().saturating_sub(begun_us),
            bytes: files.iter().map(|file| file.bytes).sum(),
            new_bytes,
            files,
            manifest,
        };
        // Ids sort as backups were made: of two in one millisecond, or after the clock was set back, the second is called later.
        loop {
            backup.id = id_of(backup.created_us, backup.seqno())?;
            let name = repository.backup_name(&backup.id);
            if repository.target.info(&name)?.is_none()
                && repository.target.put(&name, &backup.encode()?, Put::Create)? == Written::Created
            {
                break;
            }
            backup.created_us += 1000;
        }
        repository.write_catalog()?;
        Ok(BackupReport {
            path: repository.path_of(&backup.id),
            seqno: backup.seqno(),
            backup_id: backup.id,
            created_us: backup.created_us,
            bytes: backup.bytes,
            new_bytes,
        })
    }

    /// A checkpoint that needs nothing of the log, with its files open.
    fn open_checkpoint(&self) -> Result<(Manifest, Vec<Open>)> {
        let vfs = &self.environment.vfs;
        for _ in 0..ATTEMPTS {
            let manifest = self.standalone_checkpoint()?;
            let open = files_of(&manifest).map(|(segment, deaths, bytes)| {
                let path = match deaths {
                    None => self.layout.segment_path(segment),
                    Some(generation) => self.layout.deaths_path(segment, generation),
                };
                Ok(Open { segment, deaths, bytes, file: vfs.open(&path, OpenMode::Read)? })
            });
            match open.collect::<Result<Vec<_>>>() {
                Ok(open) => return Ok((manifest, open)),
                // A merge came first, unless it is missing indeed.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if self.latest_checkpoint()?.generation == manifest.generation {
                        return Err(error
                            .as_kind(ErrorKind::Corrupt)
                            .context("a file of the store is missing"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Busy, "merges keep coming between; try again, or pause maintenance for it"))
    }
}

type Known = HashMap<(SegmentId, Option<Generation>), [u8; 32]>;

/// What the files are called in another backup, of those that are the same there.
fn known_hashes(parent: &BackupManifest, manifest: &Manifest) -> Known {
    let mut known = Known::new();
    // On another line of history the same id may be another segment's.
    if parent.manifest.timeline != manifest.timeline {
        return known;
    }
    for file in &parent.files {
        let (then, now) = (parent.manifest.segment(file.segment), manifest.segment(file.segment));
        let (Some(then), Some(now)) = (then, now) else { continue };
        let is_same = match file.deaths {
            None => then.file == now.file,
            Some(_) => then.deaths == now.deaths,
        };
        if is_same {
            known.insert((file.segment, file.deaths), file.hash);
        }
    }
    known
}

/// Puts what is not there. What the files are called, and the bytes that were put.
fn put_files(
    repository: &Repository,
    open: &[Open],
    known: &Known,
    options: &BackupOptions,
) -> Result<(Vec<BackupFile>, u64)> {
    let all = (open.len() as u64, open.iter().map(|file| file.bytes).sum());
    let done = Mutex::new((BackupProgress { files: (0, all.0), bytes: (0, all.1) }, 0));
    let outcomes: Vec<Mutex<Option<Result<BackupFile>>>> = open.iter().map(|_| Mutex::new(None)).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while failed.load(Ordering::Relaxed) == 0 {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = open.get(at) else { return };
            let put = put_file(repository, file, known.get(&(file.segment, file.deaths)));
            match &put {
                Ok((_, is_new)) => {
                    let mut done = done.lock();
                    done.0.files.0 += 1;
                    done.0.bytes.0 += file.bytes;
                    done.1 += if *is_new { file.bytes } else { 0 };
                    if let Some(progress) = &options.progress {
                        progress(done.0);
                    }
                }
                Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
            }
            *outcomes[at].lock() = Some(put.map(|(file, _)| file));
        }
    };
    match options.threads.min(open.len()) {
        0 | 1 => work(),
        threads => thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        }),
    }
    // Where one failed, some were not begun.
    let files = outcomes.into_iter().filter_map(Mutex::into_inner).collect::<Result<Vec<_>>>()?;
    Ok((files, done.into_inner().1))
}

/// Puts a file, if it is not there, and whether it was not. What it is called is computed only if nobody has.
fn put_file(repository: &Repository, open: &Open, known: Option<&[u8; 32]>) -> Result<(BackupFile, bool)> {
    let source = FileSource(open.file.clone());
    let hash = match known {
        Some(hash) => *hash,
        None => hash_of(&source)?,
    };
    let file = BackupFile { segment: open.segment, deaths: open.deaths, hash, bytes: open.bytes };
    let is_new = repository.put(&hash, &source)?;
    Ok((file, is_new))
}

fn hash_of(source: &dyn Source) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE_BYTES as usize];
    let mut at = 0;
    loop {
        let got = source.read_at(&mut buffer, at)?;
        hasher.update(&buffer[..got]);
        at += got as u64;
        if got < buffer.len() {
            return Ok(*hasher.finalize().as_bytes());
        }
    }
}

/// `20261124T031500.123Z-42`: ids sort by time.
fn id_of(us: u64, seqno: SeqNo) -> Result<String> {
    let time = Timestamp::from_millisecond((us / 1000) as i64)
        .map_err(|error| Error::invalid(format!("the clock is beyond all times: {error}")))?;
    let text = time.strftime("%Y%m%dT%H%M%S");
    Ok(format!("{text}.{:03}Z-{seqno}", us / 1000 % 1000))
}

fn check_backup_name(name: &str) -> Result<()> {
    let is_plain = name.chars().all(|letter| !letter.is_control());
    match is_plain && !name.is_empty() && name.len() <= 200 {
        true => Ok(()),
        false => {
            Err(Error::invalid("the name of a backup has from 1 to 200 bytes, and no control characters"))
        }
    }
}
