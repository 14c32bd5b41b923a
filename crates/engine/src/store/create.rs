//! Making a store, and telling a folder that may become one from others.

use codegraph_vector_base::frame::Seal;
use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Epoch, Error, ErrorKind, Lsn, Result, StoreId, limits};
use codegraph_vector_storage::StoreLayout;
use codegraph_vector_storage::manifest::{Loaded, Manifest, StoreSchema, install};
use codegraph_vector_storage::wal::{self, Appender};

use super::open::metric_code;
use crate::options::OpenOptions;

/// Refuses to make a store where there is something else, or the remains of one.
pub(super) fn check_may_create(vfs: &dyn Vfs, layout: &StoreLayout, options: &OpenOptions) -> Result<()> {
    let root = layout.root();
    if options.must_exist {
        check_not_lost(vfs, layout)?;
        let message = "there is no store here; create one by importing or indexing into it";
        return Err(Error::new(ErrorKind::NotFound, message).at(root));
    }
    if !vfs.exists(root)? {
        return Ok(());
    }
    let names = vfs.list(root).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            error.as_kind(ErrorKind::InvalidInput).context("a store is a folder, and this is none")
        }
        _ => error,
    })?;
    let ours = |name: &str| {
        let leftover = name.strip_suffix(codegraph_vector_base::vfs::TEMPORARY_SUFFIX);
        matches!(name, "LOCK" | "wal" | "segments" | ".gitignore")
            || leftover.is_some_and(|name| {
                StoreLayout::parse_manifest_name(name).is_some() || StoreLayout::is_fork_mark(name)
            })
    };
    if names.iter().any(|name| StoreLayout::is_fork_mark(name)) {
        return check_not_lost(vfs, layout);
    }
    if let Some(foreign) = names.iter().find(|name| !ours(name)) {
        let message =
            format!("this folder is not a store, and not empty (it holds {foreign:?}); name another one");
        return Err(Error::invalid(message).at(root));
    }
    check_not_lost(vfs, layout)
}

/// A fork is finished once it is used: from now on nothing in it may be taken for what one that was cut short has left.
pub(super) fn begin_to_use(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<()> {
    let mark = layout.fork_mark_path();
    if vfs.exists(&mark)? {
        vfs.remove_file(&mark)?;
        vfs.sync_dir(layout.root())?;
    }
    Ok(())
}

/// Tells a store that has lost its manifests from a folder that is none.
pub(super) fn check_not_lost(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<()> {
    let root = layout.root();
    if vfs.exists(&layout.fork_mark_path())? {
        let message = "this is no store, but what a fork or restore that was cut short has left; do it again, or remove it";
        return Err(Error::invalid(message).at(root));
    }
    if vfs.list(root).is_ok() && has_remains(vfs, layout)? {
        let message = "this store has lost its manifests; restore it from a backup, or move its files away";
        return Err(Error::new(ErrorKind::Corrupt, message).at(root));
    }
    Ok(())
}

/// Whether there are rows in files that no manifest speaks for. A creation that was cut short
/// leaves at most an empty log.
fn has_remains(vfs: &dyn Vfs, layout: &StoreLayout) -> Result<bool> {
    let exists = |path: &std::path::Path| vfs.exists(path);
    let segments = layout.segments_dir();
    if exists(&segments)?
        && vfs.list(&segments)?.iter().any(|name| StoreLayout::parse_segment_name(name).is_some())
    {
        return Ok(true);
    }
    if !exists(&layout.wal_dir())? {
        return Ok(false);
    }
    let files = wal::wal_files(vfs, &layout.wal_dir())?;
    if files.iter().any(|first| *first != Lsn(0)) {
        return Ok(true);
    }
    files.first().map_or(Ok(false), |first| {
        let file = vfs.open(&layout.wal_path(*first), OpenMode::Read)?;
        let mut frames = vec![0; 4096];
        let got = file.read_at(&mut frames, 4096)?;
        Ok(frames[..got].iter().any(|byte| *byte != 0))
    })
}

/// Makes an empty store: the log first, since a manifest promises that there is one.
pub(super) fn create(layout: &StoreLayout, options: &OpenOptions) -> Result<Loaded> {
    let environment = &options.environment;
    let missing = || Error::invalid("a new store needs the dimension of its vectors");
    let dimension = options.dimension.ok_or_else(missing)?;
    if dimension == 0 || dimension > limits::MAX_DIMENSION {
        let message =
            format!("the dimension is {dimension}, and must be from 1 to {}", limits::MAX_DIMENSION);
        return Err(Error::invalid(message));
    }
    check_may_create(&*environment.vfs, layout, options)?;
    let mut id = [0; 16];
    environment.random.fill(&mut id)?;
    let schema = StoreSchema {
        dimension: dimension as u32,
        metric: metric_code(options.metric.unwrap_or_default()),
        embedder: options.embedder.clone(),
    };
    let mut manifest = Manifest::initial(StoreId(id), schema, environment.clock.now_us());
    let settings = options.settings.clone().unwrap_or_default();
    settings.check()?;
    settings.check_dimension(dimension)?;
    manifest.set_settings(settings.to_pairs());
    let seal = Seal { store: manifest.store_id, epoch: Epoch(0) };
    Appender::create(environment.vfs.clone(), layout.wal_dir(), seal, settings.max_wal_file_bytes)?;
    install(&*environment.vfs, layout, None, &manifest)?;
    Ok(Loaded { manifest, previous: None, fallbacks: Vec::new(), damaged: Vec::new() })
}
