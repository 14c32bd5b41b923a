//! Objects in a cloud, or behind a web server that only reads.
//!
//! What always holds:
//! - an answer that was lost is no conflict: where a name is taken by what was to be put, it is ours;
//! - a name is given once ([`Put::Create`]) by one request that the service refuses if the name is taken;
//! - memory is bounded: objects go in parts and come in pieces.
//!
//! Requests are made again by `object_store`, with growing waits, where that changes nothing; the rest, which only we know to be
//! harmless, is made again here.

mod failure;
mod open;
mod options;
mod work;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload,
};

use crate::{Listing, ObjectInfo, ObjectTarget, Put, Source, Written, check_name};
use failure::Failure;
pub use options::TargetOptions;
use work::{Started, Work};

const MIB: u64 = 1 << 20;
/// Bytes that are fetched by one request.
const PIECE_BYTES: u64 = 8 * MIB;
/// Bytes of a part, unless there would be too many.
const PART_BYTES: u64 = 8 * MIB;
/// No service takes more parts of an object.
const MOST_PARTS: u64 = 10_000;
/// Parts that are kept in memory at once.
const PARTS_AT_ONCE: usize = 3;
/// How often a request is made that only we know to be harmless.
const ATTEMPTS: u32 = 4;

/// Objects behind a URL.
#[derive(Debug)]
pub struct CloudTarget {
    store: Arc<dyn ObjectStore>,
    root: Path,
    url: String,
    is_writable: bool,
    options: TargetOptions,
    work: Work,
}

impl CloudTarget {
    /// Behind `s3://bucket/…`, `gs://bucket/…`, `az://container/…`, or, to be read, `https://host/…` and `http://host/…`. Nothing
    /// is asked of the service yet.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is none, has credentials in a query, or lacks what the service needs in the environment;
    /// `Unsupported` for another scheme.
    pub fn open(url: &str, options: TargetOptions) -> Result<Self> {
        let opened = open::open(url, &options)?;
        let work = Work::new(&options)?;
        let open::Opened { store, root, url, is_writable } = opened;
        Ok(Self { store, root, url, is_writable, options, work })
    }

    fn path(&self, name: &str) -> Result<Path> {
        check_name(name)?;
        Ok(self.below(name))
    }

    fn below(&self, name: &str) -> Path {
        Path::from_iter(self.root.parts().chain(Path::from(name).parts()))
    }

    fn refuse(&self, failure: &Failure, doing: &str, name: &str) -> Error {
        failure.explain(doing).at(self.path_of(name))
    }

    /// # Errors
    /// `ReadOnly` behind a web server.
    fn check_writable(&self) -> Result<()> {
        match self.is_writable {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::ReadOnly, "objects behind a web server are only read")
                    .at(&self.url))
            }
        }
    }

    /// Makes a request again that changes nothing twice, if it was not answered.
    fn again<T>(
        &self,
        mut attempt: impl FnMut() -> Result<Result<T, Failure>>,
    ) -> Result<Result<T, Failure>> {
        let attempts = ATTEMPTS.min(self.options.retries + 1);
        for so_far in 1.. {
            match attempt()? {
                Err(failure) if failure.is_unanswered() && so_far < attempts => {}
                done => return Ok(done),
            }
            self.work.sleep(self.options.first_wait * (1 << so_far))?;
        }
        unreachable!("the loop ends by itself")
    }

    /// A range of an object and what the service calls this content; `None` if it lies behind the end.
    fn piece(&self, name: &str, range: Range<u64>, tag: Option<&str>) -> Result<Option<Piece>> {
        let path = self.path(name)?;
        let got = self.again(|| {
            let (store, path) = (self.store.clone(), path.clone());
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: tag.map(str::to_owned),
                ..GetOptions::default()
            };
            self.work.run(0, async move {
                let answer = store.get_opts(&path, options).await?;
                let wanted = answer.range.end - answer.range.start;
                let (size, tag) = (answer.meta.size, answer.meta.e_tag.clone());
                let bytes = Vec::from(answer.bytes().await?);
                match bytes.len() as u64 == wanted {
                    true => Ok(Piece { bytes, size, tag }),
                    false => Err(Failure::Truncated { got: bytes.len() as u64, wanted }),
                }
            })
        })?;
        match got {
            Ok(piece) => {
                self.work.received(piece.bytes.len() as u64)?;
                Ok(Some(piece))
            }
            Err(failure) if failure.is_behind_end() => Ok(None),
            Err(failure) => Err(self.refuse(&failure, "read this object", name)),
        }
    }

    /// Whether an object has this content; `None` if it is not there.
    fn holds(&self, name: &str, source: &dyn Source) -> Result<Option<bool>> {
        let bytes = source.len()?;
        match self.info(name)? {
            None => return Ok(None),
            Some(object) if object.bytes != bytes => return Ok(Some(false)),
            Some(_) => {}
        }
        let mut at = 0;
        while at < bytes {
            let end = bytes.min(at + PIECE_BYTES);
            let Some(piece) = self.piece(name, at..end, None)? else { return Ok(Some(false)) };
            if piece.bytes[..] != read(source, at..end)?[..] {
                return Ok(Some(false));
            }
            at = end;
        }
        Ok(Some(true))
    }

    /// Puts an object by one request.
    fn put_whole(&self, name: &str, source: &dyn Source, how: Put) -> Result<Written> {
        let (path, bytes) = (self.path(name)?, source.len()?);
        let content = PutPayload::from(read(source, 0..bytes)?);
        let mode = if how == Put::Replace { PutMode::Overwrite } else { PutMode::Create };
        let attempts = ATTEMPTS.min(self.options.retries + 1);
        for so_far in 1.. {
            let (store, path, content) = (self.store.clone(), path.clone(), content.clone());
            let options =
                PutOptions { mode: mode.clone(), attributes: attributes(name, how), ..PutOptions::default() };
            let put = self.work.run(bytes, async move { store.put_opts(&path, content, options).await })?;
            let Err(error) = put else { return Ok(Written::Created) };
            let failure = Failure::from(error);
            // Taken by our own, whose answer was lost, or by another's, or only sought by another at the same time.
            let held = if failure.may_be_done() { self.holds(name, source)? } else { None };
            match held {
                Some(true) => return Ok(Written::Created),
                Some(false) if failure.is_taken() => return Ok(Written::Existed),
                _ if (failure.is_taken() || failure.is_unanswered()) && so_far < attempts => {}
                _ => return Err(self.refuse(&failure, "put this object", name)),
            }
            self.work.sleep(self.options.first_wait * (1 << so_far))?;
        }
        unreachable!("the loop ends by itself")
    }

    /// Puts an object part by part; it is there once the last is, and those before have been named.
    fn put_in_parts(&self, name: &str, source: &dyn Source, how: Put) -> Result<Written> {
        if how == Put::Content {
            match self.holds(name, source)? {
                Some(true) => return Ok(Written::Created),
                Some(false) => return Ok(Written::Existed),
                None => {}
            }
        }
        let refuse = |failure: Failure| self.refuse(&failure, "put this object", name);
        let (store, path) = (self.store.clone(), self.path(name)?);
        let options =
            PutMultipartOptions { attributes: attributes(name, how), ..PutMultipartOptions::default() };
        let begun = self.work.run(0, async move { store.put_multipart_opts(&path, options).await })?;
        let mut upload = begun.map_err(|error| refuse(error.into()))?;
        let sent = self.send_parts(&mut *upload, source);
        let failed = match sent {
            Ok(Ok(())) => {
                let (completed, back) = self.work.run(0, async move { (upload.complete().await, upload) })?;
                upload = back;
                match completed {
                    Ok(_) => return Ok(Written::Created),
                    Err(error) => refuse(error.into()),
                }
            }
            Ok(Err(failure)) => refuse(failure),
            Err(error) => error,
        };
        // It may be there, only the answer was lost; and if not, what was sent need not be kept.
        if self.holds(name, source).is_ok_and(|held| held == Some(true)) {
            return Ok(Written::Created);
        }
        drop(self.work.run(0, async move { upload.abort().await }));
        Err(failed)
    }

    fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        source: &dyn Source,
    ) -> Result<Result<(), Failure>> {
        let bytes = source.len()?;
        let part_bytes = PART_BYTES.max(bytes.div_ceil(MOST_PARTS));
        let mut under_way: VecDeque<Started<object_store::Result<()>>> = VecDeque::new();
        let mut at = 0;
        while at < bytes || !under_way.is_empty() {
            if at < bytes && under_way.len() < PARTS_AT_ONCE {
                let end = bytes.min(at + part_bytes);
                let part = upload.put_part(read(source, at..end)?.into());
                under_way.push_back(self.work.start(end - at, part));
                at = end;
            } else if let Some(part) = under_way.pop_front()
                && let Err(error) = part.wait()?
            {
                return Ok(Err(error.into()));
            }
        }
        Ok(Ok(()))
    }
}

impl ObjectTarget for CloudTarget {
    fn put(&self, name: &str, source: &dyn Source, how: Put) -> Result<Written> {
        self.check_writable()?;
        match how != Put::Create && source.len()? > self.options.part_above_bytes {
            true => self.put_in_parts(name, source, how),
            false => self.put_whole(name, source, how),
        }
    }

    fn get(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        if range.is_empty() {
            let object = self.info(name)?;
            let missing =
                || Error::new(ErrorKind::NotFound, "there is no such object").at(self.path_of(name));
            return object.map(|_| Vec::new()).ok_or_else(missing);
        }
        let (mut bytes, mut at, mut tag) = (Vec::new(), range.start, None::<String>);
        while at < range.end {
            let end = range.end.min(at.saturating_add(PIECE_BYTES));
            let Some(piece) = self.piece(name, at..end, tag.as_deref())? else { break };
            at += piece.bytes.len() as u64;
            bytes.extend(piece.bytes);
            if at >= piece.size {
                break;
            }
            // Weak ones never match.
            tag = piece.tag.filter(|tag| !tag.starts_with("W/"));
        }
        Ok(bytes)
    }

    fn info(&self, name: &str) -> Result<Option<ObjectInfo>> {
        let path = self.path(name)?;
        let got = self.again(|| {
            let (store, path) = (self.store.clone(), path.clone());
            self.work.run(0, async move { store.head(&path).await.map_err(Failure::from) })
        })?;
        match got {
            Ok(meta) => Ok(Some(ObjectInfo { name: name.to_owned(), bytes: meta.size })),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(self.refuse(&failure, "look for this object", name)),
        }
    }

    fn list(&self, folder: &str) -> Result<Listing> {
        if !self.is_writable {
            let message = "what lies behind a web server cannot be listed";
            return Err(Error::new(ErrorKind::Unsupported, message).at(&self.url));
        }
        let prefix = match folder.strip_suffix('/') {
            Some(name) => self.path(name)?,
            None if folder.is_empty() => self.root.clone(),
            None => return Err(Error::invalid(format!("{folder:?} is no folder of objects"))),
        };
        let listed = self.again(|| {
            let (store, prefix) = (self.store.clone(), prefix.clone());
            self.work
                .run(0, async move { store.list_with_delimiter(Some(&prefix)).await.map_err(Failure::from) })
        })?;
        let listed = listed.map_err(|failure| self.refuse(&failure, "list this folder", folder))?;
        // What is not ours is not listed, and so is never removed.
        let name = |path: &Path| {
            let part = path.filename()?;
            (path.prefix_matches(&prefix) && check_name(part).is_ok()).then(|| format!("{folder}{part}"))
        };
        let object = |meta: &object_store::ObjectMeta| {
            Some(ObjectInfo { name: name(&meta.location)?, bytes: meta.size })
        };
        let folders = listed.common_prefixes.iter().filter_map(|path| Some(format!("{}/", name(path)?)));
        let mut listing = Listing {
            objects: listed.objects.iter().filter_map(object).collect(),
            folders: folders.collect(),
        };
        listing.objects.sort_unstable();
        listing.folders.sort_unstable();
        Ok(listing)
    }

    /// Nothing is left: what is not whole has no name.
    fn sweep(&self, _folder: &str) -> Result<()> {
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.check_writable()?;
        let path = self.path(name)?;
        let deleted = self.again(|| {
            let (store, path) = (self.store.clone(), path.clone());
            self.work.run(0, async move { store.delete(&path).await.map_err(Failure::from) })
        })?;
        match deleted {
            Err(failure) if !failure.is_not_found() => Err(self.refuse(&failure, "delete this object", name)),
            _ => Ok(()),
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn is_writable(&self) -> bool {
        self.is_writable
    }

    fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.url))
    }
}

/// What came of an object.
struct Piece {
    bytes: Vec<u8>,
    /// Of the whole object.
    size: u64,
    tag: Option<String>,
}

/// All of a range.
///
/// # Errors
/// `Io` if there is less of it.
fn read(source: &dyn Source, range: Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let got = source.read_at(&mut bytes, range.start)?;
    match got == bytes.len() {
        true => Ok(bytes),
        false => Err(Error::new(ErrorKind::Io, "what is put became shorter meanwhile")),
    }
}

/// What caches between may do with it, and what it is.
fn attributes(name: &str, how: Put) -> Attributes {
    let cached = match how {
        Put::Content => "public, max-age=31536000, immutable",
        Put::Create | Put::Replace => "no-cache",
    };
    let kind = if name.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    Attributes::from_iter([(Attribute::CacheControl, cached), (Attribute::ContentType, kind)])
}
